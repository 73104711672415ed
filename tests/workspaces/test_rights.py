import pytest
from django.contrib.auth.models import Group
from guardian.shortcuts import assign_perm

from apps.accounts.enums import Capability
from apps.accounts.models import Role
from apps.audit.actors import NOBODY, SYSTEM, Actor
from apps.core.verdict import Denied
from apps.workspaces import actions, rights
from apps.workspaces.models import ApiToken, Membership
from apps.workspaces.scope import workspace_scope, workspaces_of
from tests.cast import NOW, Cast, make_person
from tests.world import World, last_event


def test_a_role_gives_its_capabilities_in_its_workspace_alone(cast: Cast, devops):
    assert rights.may(devops, Capability.FREEZE, cast.platform.pk)
    assert not rights.may(devops, Capability.FREEZE, cast.customer.pk)
    assert "FREEZE" in rights.capabilities_of(devops, cast.platform.pk)
    assert rights.capabilities_of(devops, cast.customer.pk) == frozenset()


def test_being_a_superuser_gives_nothing(cast: Cast, auditor):
    auditor.is_superuser = auditor.is_staff = True
    auditor.save()

    assert not rights.may(auditor, Capability.RELEASE_CREATE, cast.platform.pk)
    assert not rights.may(auditor, Capability.RELEASE_CREATE, cast.platform.pk, cast.platform)


def test_a_refusal_says_what_and_whom_to_ask(cast: Cast, auditor):
    verdict = rights.may(auditor, Capability.FREEZE, cast.platform.pk)

    assert verdict.reasons[0].code == "role_missing"
    assert verdict.sentence == (
        "Your roles in this workspace do not let you freeze and unfreeze. "
        "Ask somebody who is Engineering manager or DevOps or Security or Customer's operator there."
    )


def test_an_ended_role_and_a_closed_account_give_nothing(cast: Cast, devops):
    membership = Membership.objects.get(user=devops)
    actions.end_role(membership, by=cast.administrator, now=NOW)
    assert not rights.may(devops, Capability.FREEZE, cast.platform.pk)
    assert not rights.has_role(devops, "DEVOPS", cast.platform.pk)

    closed = cast.second_devops
    closed.is_active = False
    closed.save()
    assert not rights.may(closed, Capability.FREEZE, cast.platform.pk)
    assert rights.holders("DEVOPS", cast.platform.pk) == []


def test_who_may_give_roles_holds_a_grant_or_is_in_a_group_that_does(cast: Cast):
    group = Group.objects.create(name="On call")
    cast.security.groups.add(group)
    assign_perm("operate_workspace", group, cast.platform)

    assert rights.administrators(cast.platform.pk) == [cast.administrator, cast.security]
    assert rights.administrators(cast.elsewhere.pk) == []
    assert rights.capable(Capability.POLICY_CHANGE, cast.elsewhere.pk) == [cast.outsider]


def test_rights_for_a_page_cost_two_questions(cast: Cast, devops, django_assert_num_queries):
    with django_assert_num_queries(2):
        page = rights.rights_of(devops, [cast.platform.pk, cast.customer.pk])

    with django_assert_num_queries(0):
        assert page.may(Capability.FREEZE, cast.platform.pk)
        assert not page.may(Capability.FREEZE, cast.customer.pk)
        assert "Ask somebody" in page.may(Capability.RELEASE_CREATE, cast.platform.pk).sentence


def test_one_question_is_at_most_two(world: World, devops, auditor, django_assert_max_num_queries):
    with django_assert_max_num_queries(2):
        rights.may(devops, Capability.FREEZE, world.cast.platform.pk, world.dev)
    with django_assert_max_num_queries(2):
        rights.may(auditor, Capability.FREEZE, world.cast.platform.pk, world.dev)


def test_a_grant_on_one_object_covers_that_object(world: World, auditor):
    platform = world.cast.platform.pk
    assign_perm("deploy_environment", auditor, world.dev)

    assert rights.may(auditor, Capability.PROMOTION_REQUEST, platform, world.dev)
    assert not rights.may(auditor, Capability.PROMOTION_REQUEST, platform, world.qa)
    assert not rights.may(auditor, Capability.PROMOTION_REQUEST, platform)
    assert not rights.may(auditor, Capability.FREEZE, platform, world.dev)


def test_a_grant_of_a_group_covers_its_people(world: World, auditor):
    group = Group.objects.create(name="Greeter team")
    auditor.groups.add(group)
    assign_perm("release_service", group, world.service)

    assert rights.may(auditor, Capability.RELEASE_CREATE, world.cast.platform.pk, world.service)


def test_no_grant_covers_deciding():
    assert not any(Capability.PROMOTION_DECIDE in covered for covered in rights.GRANTS.values())
    assert Capability.PROMOTION_DECIDE not in rights.SCOPES.values()


def test_the_portal_itself_may_and_nobody_may_not(cast: Cast):
    assert rights.may(SYSTEM, Capability.FREEZE, cast.platform.pk)
    assert not rights.may(NOBODY, Capability.FREEZE, cast.platform.pk)


def test_a_token_may_what_its_scopes_say(cast: Cast, release_engineer):
    token, text = actions.create_token(
        cast.platform, name="Pipeline", scopes=["release:create"], days=30, by=release_engineer, now=NOW
    )
    actor = Actor("TOKEN", str(token.pk), token.name)

    assert rights.may(actor, Capability.RELEASE_CREATE, cast.platform.pk)
    assert not rights.may(actor, Capability.RELEASE_CREATE, cast.customer.pk)
    assert not rights.may(actor, Capability.FREEZE, cast.platform.pk)
    assert text.startswith("eaip_")
    assert text not in bytes(last_event("token.created").canonical).decode()
    assert ApiToken.objects.get().digest == actions.digest_of(text)


@pytest.mark.parametrize(
    "fields", [{"scopes": ["all"]}, {"scopes": []}, {"days": 0}, {"days": 366}, {"name": " "}, {"name": "x" * 81}]
)
def test_a_malformed_token_is_refused(cast: Cast, release_engineer, fields):
    values = {"name": "Pipeline", "scopes": ["release:create"], "days": 30, "by": release_engineer, "now": NOW}
    with pytest.raises(actions.TokenInvalid):
        actions.create_token(cast.platform, **(values | fields))


def test_nobody_gives_a_token_more_than_they_have(cast: Cast, auditor):
    with pytest.raises(Denied):
        actions.create_token(cast.platform, name="x", scopes=["release:create"], days=1, by=auditor, now=NOW)


def test_a_token_is_revoked_once_by_who_made_it_or_an_administrator(cast: Cast, release_engineer, devops):
    token, _ = actions.create_token(
        cast.platform, name="Pipeline", scopes=["release:create"], days=30, by=release_engineer, now=NOW
    )

    with pytest.raises(Denied):
        actions.revoke_token(token, by=devops, now=NOW)
    actions.revoke_token(token, by=cast.administrator, now=NOW)
    assert last_event("token.revoked").actor_label == "Administrator"
    with pytest.raises(actions.TokenRevoked):
        actions.revoke_token(token, by=release_engineer, now=NOW)


def test_an_administrator_gives_and_ends_roles_and_never_their_own(cast: Cast, auditor):
    by = {"workspace": cast.platform, "by": cast.administrator, "now": NOW}
    membership = actions.grant_role(auditor, role="SECURITY", **by)

    assert last_event("membership.granted").change["role"]["after"] == "SECURITY"
    with pytest.raises(actions.RoleHeld):
        actions.grant_role(auditor, role="SECURITY", **by)
    with pytest.raises(Denied, match="their own roles"):
        actions.grant_role(cast.administrator, role="DEVOPS", **by)
    actions.end_role(membership, by=cast.administrator, now=NOW)
    assert last_event("membership.ended").target_id == str(auditor.pk)
    with pytest.raises(actions.RoleEnded):
        actions.end_role(membership, by=cast.administrator, now=NOW)


@pytest.mark.parametrize("role", ["devops", "security", "engineering_manager", "outsider"])
def test_no_role_gives_roles(cast: Cast, role):
    with pytest.raises(Denied):
        actions.grant_role(cast.auditor, role="DEVOPS", workspace=cast.platform, by=getattr(cast, role), now=NOW)


def test_a_workspace_is_taken_in_by_the_installation_alone(cast: Cast, devops):
    with pytest.raises(Denied):
        actions.create_workspace(slug="mine", name="Mine", deployment_model="BYOC", by=devops, now=NOW)


def test_people_see_the_workspaces_where_they_hold_a_role(cast: Cast):
    both = make_person("both", "Both", ("AUDITOR",), cast.platform)
    actions.grant_role(both, role="AUDITOR", workspace=cast.customer, by=SYSTEM, now=NOW)

    assert set(workspaces_of(both)) == {cast.platform.pk, cast.customer.pk}
    assert workspaces_of(cast.outsider) == (cast.elsewhere.pk,)


def test_no_other_workspace_sees_members_or_tokens(cast: Cast, release_engineer):
    actions.create_token(cast.platform, name="x", scopes=["release:create"], days=1, by=release_engineer, now=NOW)

    with workspace_scope([cast.elsewhere.pk]):
        assert not ApiToken.objects.exists()
        assert set(Membership.objects.values_list("workspace_id", flat=True)) == {cast.elsewhere.pk}


def test_every_role_has_only_capabilities_that_exist(cast: Cast):
    for role in Role.objects.all():
        assert set(role.capabilities) <= set(Capability.values)
