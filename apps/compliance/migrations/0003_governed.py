from django.db import migrations

from apps.audit.net import govern


class Migration(migrations.Migration):
    dependencies = [("compliance", "0002_access_history"), ("audit", "0006_net")]

    operations = [govern("compliance_review"), govern("compliance_reviewdone"), govern("audit_savedfilter")]
