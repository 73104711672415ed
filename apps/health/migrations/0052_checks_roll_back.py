from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("health", "0051_traffic_queries")]

    operations = [
        migrations.AddField(
            model_name="endpointcheck", name="rolls_back", field=models.BooleanField(default=True, db_default=True)
        )
    ]
