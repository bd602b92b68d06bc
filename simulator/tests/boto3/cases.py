"""Sends a table of requests to an endpoint, and counts the responses that are the same as AWS's.

    python cases.py http://127.0.0.1:4570 [--verbose] [--only TEXT]

AWS's responses are taken from its documentation, its API model, and responses that others recorded. If only the code is
known, only the code is compared. The accounts are set up with IAM's API by their root users.
The last line of the output is `<as AWS> of <cases> as AWS`; the exit code is 0 if all responses are the same.
"""

import argparse
import json
import re
import sys
import time
import urllib.parse
import urllib.request

from world import ALLOW_ALL, ASSUME, CALLER, OTHER, TARGET, Keys, World, code, policy, trust

CASES = []


def case(name, call, status=200, code=None, message=None, check=None):
    """Adds a case. `message` is a regular expression for the whole message; `check` gets the parsed response."""
    CASES.append((name, call, status, code, message, check))


def allowed(name, call, check=None):
    case(name, call, check=check)


def denied(name, call, action="sts:AssumeRole"):
    case(name, call, 403, "AccessDenied", rf"User: arn:\S+ is not authorized to perform: {action} on resource: \S+")


def invalid(name, call, rule, count=1):
    noun = "error" if count == 1 else "errors"
    case(name, call, 400, "ValidationError", rf"{count} validation {noun} detected: .*{re.escape(rule)}.*")


# --- Parameters of AssumeRole -------------------------------------------------------------------------------------

def with_arguments(**arguments):
    return lambda w: w.assume(w.role(), **arguments)


def text_limits(parameter, least, most, good, bad, pattern, extra=None):
    extra = extra or {}
    member = parameter[0].lower() + parameter[1:]
    for length in (least - 1, most + 1):
        side = "greater than or equal to " + str(least) if length < least else "less than or equal to " + str(most)
        invalid(
            f"{parameter} of {length} characters",
            with_arguments(**{**extra, parameter: good * length}),
            f"at '{member}' failed to satisfy constraint: Member must have length {side}",
        )
    for length in (least, most):
        allowed(f"{parameter} of {length} characters", with_arguments(**{**extra, parameter: good * length}))
    for character in bad:
        invalid(
            f"{parameter} with {character!r}",
            with_arguments(**{**extra, parameter: good * 3 + character}),
            f"at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: {pattern}",
        )


text_limits("RoleSessionName", 2, 64, "a", " /:é", r"[\w+=,.@-]*")
text_limits("ExternalId", 2, 1224, "a", " #é", r"[\w+=,.@:\/-]*")
text_limits("SourceIdentity", 2, 256, "a", " :/", r"[\w+=,.@-]*")
allowed("ExternalId with all its special characters", with_arguments(ExternalId="a+=,.@:/-_9"))
allowed("RoleSessionName with all its special characters", with_arguments(RoleSessionName="a+=,.@-_9"))

for duration, rule in ((899, "greater than or equal to 900"), (43201, "less than or equal to 43200"),
                       (0, "greater than or equal to 900"), (-1, "greater than or equal to 900")):
    invalid(f"DurationSeconds {duration}", with_arguments(DurationSeconds=duration),
            f"Value '{duration}' at 'durationSeconds' failed to satisfy constraint: Member must have value {rule}")
allowed("DurationSeconds 900", with_arguments(DurationSeconds=900))
allowed("DurationSeconds 3600", with_arguments(DurationSeconds=3600))


def raw_assume(changes=None, **options):
    """Sends AssumeRole by hand, with changed parameters; `None` leaves one out."""
    def call(w):
        parameters = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": w.role(), "RoleSessionName": "session"}
        for name, value in (changes or {}).items():
            if value is None:
                parameters.pop(name, None)
            else:
                parameters[name] = value
        return w.raw(parameters, **options)
    return call


allowed("DurationSeconds +900", raw_assume({"DurationSeconds": "+900"}))
allowed("DurationSeconds 0900", raw_assume({"DurationSeconds": "0900"}))
case("DurationSeconds that is no number", raw_assume({"DurationSeconds": "abc"}), 400, "MalformedInput")
case("DurationSeconds above 32 bits", raw_assume({"DurationSeconds": "9999999999"}), 400, "MalformedInput")
case("DurationSeconds that is empty", raw_assume({"DurationSeconds": ""}), 400, "MalformedInput", "missing value for decimal type")
invalid("RoleArn missing", raw_assume({"RoleArn": None}), "Value null at 'roleArn' failed to satisfy constraint: Member must not be null")
invalid("RoleSessionName missing", raw_assume({"RoleSessionName": None}), "Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null")
invalid("ExternalId that is empty", raw_assume({"ExternalId": ""}), "at 'externalId' failed to satisfy constraint: Member must have length greater than or equal to 2")
invalid("RoleArn of 10 characters", raw_assume({"RoleArn": "not-an-arn"}), "Value 'not-an-arn' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20")
invalid("RoleArn of 2049 characters", raw_assume({"RoleArn": "arn:aws:iam::222222222222:role/" + "a" * 2018}), "at 'roleArn' failed to satisfy constraint: Member must have length less than or equal to 2048")
for arn in ("arn:a:::something/test-role", "arn:aws:iam::222222222222:user/someone", "this is no arn at all, but long"):
    case(f"RoleArn {arn}", raw_assume({"RoleArn": arn}), 400, "ValidationError", re.escape(arn) + " is invalid")
invalid("two parameters at once", with_arguments(RoleSessionName="a b", DurationSeconds=1), "at 'roleSessionName'", 2)
invalid("three parameters at once", with_arguments(RoleSessionName="a b", DurationSeconds=1, ExternalId="#"), "at 'durationSeconds'", 4)
allowed("an unknown parameter is ignored", raw_assume({"Unknown": "x"}))
case("the first of two values wins", lambda w: w.raw(
    f"Action=AssumeRole&Version=2011-06-15&RoleArn={urllib.parse.quote(w.role())}&RoleSessionName=bad%2Fname&RoleSessionName=good"),
    400, "ValidationError")
allowed("the second of two values does not matter", lambda w: w.raw(
    f"Action=AssumeRole&Version=2011-06-15&RoleArn={urllib.parse.quote(w.role())}&RoleSessionName=good&RoleSessionName=bad%2Fname"))
invalid("the schema comes before the trust", lambda w: w.assume("arn:aws:iam::222222222222:role/none", RoleSessionName="a/b"), "at 'roleSessionName'")
invalid("SerialNumber of 8 characters", with_arguments(SerialNumber="12345678", TokenCode="123456"), "at 'serialNumber' failed to satisfy constraint: Member must have length greater than or equal to 9")
invalid("TokenCode that is empty", with_arguments(SerialNumber="GAHT12345678", TokenCode=""), "Value '' at 'tokenCode' failed to satisfy constraint: Member must have length greater than or equal to 6")
invalid("TokenCode of letters", with_arguments(SerialNumber="GAHT12345678", TokenCode="abcdef"), r"at 'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\d]*")
invalid("Policy of 2049 characters", with_arguments(Policy=policy(ALLOW_ALL) + " " * 2049), "at 'policy' failed to satisfy constraint: Member must have length less than or equal to 2048")
invalid("eleven PolicyArns", with_arguments(PolicyArns=[{"arn": f"arn:aws:iam::{TARGET}:policy/p{n}"} for n in range(11)]), "at 'policyArns' failed to satisfy constraint")


# --- Who may assume a role ---------------------------------------------------------------------------------------

def trusting(*statements, keys=None, **arguments):
    """A role with this trust policy, assumed by a user who may assume all roles."""
    return lambda w: w.assume(w.role(*statements), keys and keys(w), **arguments)


ANY = {"AWS": "*"}
allowed("account ID as principal", trusting(trust({"AWS": CALLER})))
allowed("account's root ARN as principal", trusting(trust({"AWS": f"arn:aws:iam::{CALLER}:root"})))
allowed("everybody as principal", trusting(trust(ANY)))
denied("another account as principal", trusting(trust({"AWS": OTHER})))
allowed("one of two accounts as principal", trusting(trust({"AWS": [OTHER, CALLER]})))
allowed("a user as principal", lambda w: w.assume(w.role(trust({"AWS": w.admin.arn}))))
denied("another user as principal", lambda w: w.assume(w.role(trust({"AWS": w.nobody.arn}))))
denied("a service as principal", trusting(trust({"Service": "ec2.amazonaws.com"})))
allowed("a service and an account as principals", trusting(trust({"Service": "ec2.amazonaws.com", "AWS": CALLER})))
denied("an identity provider as principal", trusting(trust({"Federated": f"arn:aws:iam::{TARGET}:saml-provider/x"})))
denied("a role that does not exist", lambda w: w.assume("arn:aws:iam::222222222222:role/none"))
denied("an account that does not exist", lambda w: w.assume("arn:aws:iam::444444444444:role/none"))
denied("the ARN in the wrong case", lambda w: w.assume(w.role().replace("role/role", "role/Role")))
denied("the ARN without its path", lambda w: w.assume(w.role(Path="/team/").replace("/team/", "/")))
allowed("the ARN with its path", lambda w: w.assume(w.role(Path="/team/")),
        lambda value: "/team/" not in value["AssumedRoleUser"]["Arn"])
denied("no identity policy, across accounts", lambda w: w.assume(w.role(), w.nobody))
denied("no identity policy, named, across accounts", lambda w: w.assume(w.role(trust({"AWS": w.nobody.arn})), w.nobody))
denied("no identity policy, everybody, across accounts", lambda w: w.assume(w.role(trust(ANY)), w.nobody))
allowed("no identity policy, named, within the account", lambda w: w.assume(w.role(trust({"AWS": w.nobody.arn}), account=CALLER), w.nobody))
allowed("no identity policy, everybody, within the account", lambda w: w.assume(w.role(trust(ANY), account=CALLER), w.nobody))
denied("no identity policy, account trusted, within the account", lambda w: w.assume(w.role(trust(), account=CALLER), w.nobody))
allowed("identity policy, account trusted, within the account", lambda w: w.assume(w.role(trust(), account=CALLER)))
denied("identity policy only, within the account", lambda w: w.assume(w.role(trust({"AWS": OTHER}), account=CALLER)))


def user_allowed(statement, role=None):
    """A user with this identity policy assumes a role; RoleArn in it is the role's."""
    def call(w):
        arn = w.role(name=role and role + w.name("x"))
        return w.assume(arn, w.user(*json.loads(json.dumps([statement]).replace("RoleArn", arn))))
    return call


allowed("identity policy on the role's ARN", user_allowed({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "RoleArn"}))
denied("identity policy on another role", user_allowed({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "RoleArn2"}))
allowed("identity policy with a wildcard", user_allowed({"Effect": "Allow", "Action": "sts:Assume*", "Resource": f"arn:aws:iam::{TARGET}:role/*"}))
allowed("identity policy with an action in another case", user_allowed({"Effect": "Allow", "Action": "STS:assumerole", "Resource": "*"}))
denied("identity policy for another action", user_allowed({"Effect": "Allow", "Action": "sts:TagSession", "Resource": "*"}))
allowed("identity policy with NotAction", user_allowed({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}))
denied("identity policy with NotAction that has it", user_allowed({"Effect": "Allow", "NotAction": "sts:*", "Resource": "*"}))
allowed("identity policy with NotResource", user_allowed({"Effect": "Allow", "Action": "sts:*", "NotResource": f"arn:aws:iam::{OTHER}:*"}))
denied("identity policy with NotResource that has it", user_allowed({"Effect": "Allow", "Action": "sts:*", "NotResource": "RoleArn"}))
allowed("identity policy with a single-character wildcard", user_allowed({"Effect": "Allow", "Action": "sts:AssumeRol?", "Resource": "*"}))
denied("identity policy that denies", lambda w: w.assume(w.role(), w.user(ASSUME, {**ASSUME, "Effect": "Deny"})))
denied("trust policy that denies", trusting(trust(), trust(effect="Deny")))
denied("trust policy that denies everybody", trusting(trust(), trust(ANY, effect="Deny")))
allowed("trust policy that denies another account", trusting(trust(), trust({"AWS": OTHER}, effect="Deny")))
denied("trust policy for another action", trusting(trust(action="sts:TagSession")))
allowed("a variable in the identity policy's resource", lambda w: w.assume(
    w.role(name=(user := w.user({"Effect": "Allow", "Action": "sts:*", "Resource": f"arn:aws:iam::{TARGET}:role/of-${{aws:username}}"})).name.join(["of-", ""])), user))


def recreated_user(w):
    keys = w.user(ASSUME)
    role = w.role(trust({"AWS": keys.arn}))
    iam = w.iam()
    iam.delete_user_policy(UserName=keys.name, PolicyName="p")
    iam.delete_access_key(UserName=keys.name, AccessKeyId=keys.id)
    iam.delete_user(UserName=keys.name)
    iam.create_user(UserName=keys.name)
    iam.put_user_policy(UserName=keys.name, PolicyName="p", PolicyDocument=policy(ASSUME))
    return w.assume(role, Keys(iam.create_access_key(UserName=keys.name)["AccessKey"]))


denied("a trusted user who was created again", recreated_user)


def after_role_change(change):
    """What a role's session may do after the role has changed."""
    def call(w):
        role = w.role()
        keys = w.session(role)
        change(w.iam(TARGET), role.rsplit("/", 1)[1])
        return w.sts("get_caller_identity", keys)
    return call


def delete_and_create(iam, name):
    iam.delete_role(RoleName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust()))


INVALID_TOKEN = r"The security token included in the request is invalid\."
case("the session of a deleted role", after_role_change(lambda iam, name: iam.delete_role(RoleName=name)), 403, "InvalidClientTokenId", INVALID_TOKEN)
case("the session of a role that was created again", after_role_change(delete_and_create), 403, "InvalidClientTokenId", INVALID_TOKEN)
allowed("the session of a role with a new trust policy", after_role_change(
    lambda iam, name: iam.update_assume_role_policy(RoleName=name, PolicyDocument=policy(trust({"AWS": OTHER})))))
case("a trusted user who does not exist", lambda w: w.answer(
    w.iam(TARGET).create_role, RoleName=w.name("role"), AssumeRolePolicyDocument=policy(trust({"AWS": f"arn:aws:iam::{CALLER}:user/none"}))),
    400, "MalformedPolicyDocument", r'Invalid principal in policy: "AWS":"arn:aws:iam::111111111111:user/none"')


def chained(principal, allow=(ASSUME,), **arguments):
    """The session of a role assumes another role, which trusts `principal` of (role ARN, session ARN)."""
    def call(w):
        middle = w.role(account=CALLER, allow=allow)
        session = w.session(middle, **arguments)
        session_arn = f"arn:aws:sts::{CALLER}:assumed-role/{middle.rsplit('/', 1)[1]}/session"
        return w.assume(w.role(trust({"AWS": principal(middle, session_arn)})), session)
    return call


allowed("a role as principal", chained(lambda role, session: role))
allowed("a session as principal", chained(lambda role, session: session))
denied("another session as principal", chained(lambda role, session: session + "2"))
allowed("a role's account as principal", chained(lambda role, session: CALLER))
denied("a role without permission to assume", chained(lambda role, session: role, allow=()))
denied("a session policy that does not allow it", chained(lambda role, session: role, Policy=policy({**ALLOW_ALL, "Action": "s3:*"})))


def self_assume(trusts_itself):
    def call(w):
        role = w.role(account=CALLER, allow=(ASSUME,))
        if trusts_itself:
            w.iam().update_assume_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyDocument=policy(trust({"AWS": [role, w.admin.arn]})))
        else:
            w.iam().update_assume_role_policy(RoleName=role.rsplit("/", 1)[1], PolicyDocument=policy(trust({"AWS": w.admin.arn})))
        return w.assume(role, w.session(role))
    return call


allowed("a role that trusts itself", self_assume(True))
denied("a role that does not trust itself", self_assume(False))
case("the root user", lambda w: w.assume(w.role(), w.roots[CALLER]), 403, "AccessDenied", r"Roles may not be assumed by root accounts\.")

# --- External IDs ------------------------------------------------------------------------------------------------

NEEDS_ID = trust(condition={"StringEquals": {"sts:ExternalId": "Example987"}})
allowed("the external ID", trusting(NEEDS_ID, ExternalId="Example987"))
denied("another external ID", trusting(NEEDS_ID, ExternalId="Example988"))
denied("the external ID in another case", trusting(NEEDS_ID, ExternalId="example987"))
denied("no external ID", trusting(NEEDS_ID))
allowed("an external ID that is not asked for", trusting(trust(), ExternalId="Example987"))
allowed("one of several external IDs", trusting(trust(condition={"StringEquals": {"sts:ExternalId": ["a1", "Example987"]}}), ExternalId="Example987"))
allowed("an external ID by a pattern", trusting(trust(condition={"StringLike": {"sts:ExternalId": "Example*"}}), ExternalId="Example987"))
denied("Deny without the external ID", trusting(trust(), trust(ANY, effect="Deny", condition={"StringNotEquals": {"sts:ExternalId": "Example987"}})))
allowed("Deny with the external ID", trusting(trust(), trust(ANY, effect="Deny", condition={"StringNotEquals": {"sts:ExternalId": "Example987"}}), ExternalId="Example987"))
denied("Null asks for an external ID", trusting(trust(condition={"Null": {"sts:ExternalId": "false"}})))
allowed("Null is content with an external ID", trusting(trust(condition={"Null": {"sts:ExternalId": "false"}}), ExternalId="a1"))

# --- Conditions: each as Allow, and as Deny beside an Allow ------------------------------------------------------

DAY = 24 * 3600


def stamp(offset, form="%Y-%m-%dT%H:%M:%SZ"):
    return time.strftime(form, time.gmtime(time.time() + offset))


CONDITIONS = [
    ("StringEquals", "sts:RoleSessionName", "session", True),
    ("StringEquals", "sts:RoleSessionName", "Session", False),
    ("StringNotEquals", "sts:RoleSessionName", "other", True),
    ("StringNotEquals", "sts:RoleSessionName", ["other", "session"], False),
    ("StringEqualsIgnoreCase", "sts:RoleSessionName", "SESSION", True),
    ("StringNotEqualsIgnoreCase", "sts:RoleSessionName", "SESSION", False),
    ("StringLike", "sts:RoleSessionName", "ses?io*", True),
    ("StringLike", "sts:RoleSessionName", "Ses*", False),
    ("StringNotLike", "sts:RoleSessionName", "ses*", False),
    ("StringEquals", "sts:rolesessionname", "session", True),
    ("StringEquals", "aws:PrincipalAccount", CALLER, True),
    ("StringEquals", "aws:PrincipalAccount", OTHER, False),
    ("StringEquals", "aws:PrincipalType", "User", True),
    ("StringEquals", "aws:ResourceAccount", TARGET, True),
    ("ArnLike", "aws:PrincipalArn", f"arn:aws:iam::{CALLER}:user/*", True),
    ("ArnEquals", "aws:PrincipalArn", f"arn:aws:iam::{CALLER}:user/user*", True),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/*", False),
    ("ArnNotLike", "aws:PrincipalArn", f"arn:aws:iam::{CALLER}:user/*", False),
    ("ArnNotEquals", "aws:PrincipalArn", f"arn:aws:iam::{OTHER}:user/*", True),
    ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::${aws:PrincipalAccount}:user/user*", True),
    ("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::${aws:PrincipalAccount}:user/user*", False),
    ("StringEquals", "aws:PrincipalArn", f"arn:aws:iam::{CALLER}:user/*", False),
    ("StringEqualsIgnoreCase", "aws:username", "${aws:username}", True),
    ("StringLike", "aws:username", "${aws:username}", True),
    ("StringEquals", "aws:username", "${aws:PrincipalTag/none, 'x'}", False),
    ("Bool", "aws:SecureTransport", ["true", "false"], True),
    ("Bool", "aws:ViaAWSService", "false", True),
    ("Bool", "aws:ViaAWSService", "true", False),
    ("Bool", "aws:PrincipalIsAWSService", "false", True),
    ("Bool", "aws:MultiFactorAuthPresent", "true", False),
    ("Bool", "aws:MultiFactorAuthPresent", "false", False),
    ("BoolIfExists", "aws:MultiFactorAuthPresent", "true", True),
    ("Null", "aws:MultiFactorAuthAge", "true", True),
    ("Null", "aws:MultiFactorAuthAge", "false", False),
    ("Null", "aws:TokenIssueTime", "true", True),
    ("IpAddress", "aws:SourceIp", "127.0.0.0/8", True),
    ("IpAddress", "aws:SourceIp", "127.0.0.1", True),
    ("IpAddress", "aws:SourceIp", "10.0.0.0/8", False),
    ("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", True),
    ("NotIpAddress", "aws:SourceIp", "127.0.0.0/8", False),
    ("StringEquals", "aws:RequestedRegion", "eu-west-1", True),
    ("StringEquals", "aws:RequestedRegion", "us-east-1", False),
    ("StringNotEquals", "aws:RequestedRegion", ["eu-west-1", "eu-central-1"], False),
    ("StringLike", "aws:UserAgent", "Boto3/*", True),
    ("StringNotLike", "aws:UserAgent", "*Botocore*", False),
    ("DateGreaterThan", "aws:CurrentTime", lambda: stamp(-DAY), True),
    ("DateGreaterThan", "aws:CurrentTime", lambda: stamp(DAY), False),
    ("DateLessThan", "aws:CurrentTime", lambda: stamp(DAY), True),
    ("DateLessThan", "aws:CurrentTime", lambda: stamp(2 * DAY, "%Y-%m-%d"), True),
    ("DateLessThan", "aws:CurrentTime", lambda: stamp(2 * DAY, "%Y-%m-%dT%H:%MZ"), True),
    ("DateGreaterThanEquals", "aws:CurrentTime", lambda: stamp(2 * DAY, "%Y-%m-%d"), False),
    ("DateLessThan", "aws:CurrentTime", lambda: str(int(time.time()) + DAY), True),
    ("DateNotEquals", "aws:CurrentTime", lambda: stamp(-DAY), True),
    ("NumericGreaterThan", "aws:EpochTime", "1700000000", True),
    ("NumericLessThan", "aws:EpochTime", "1700000000", False),
    ("DateGreaterThan", "aws:EpochTime", "1700000000", True),
    ("StringEquals", "aws:PrincipalTag/team", "red", True),
    ("StringEquals", "aws:PrincipalTag/Team", "red", True),
    ("StringEquals", "aws:PrincipalTag/team", "blue", False),
    ("StringNotEquals", "aws:PrincipalTag/team", "red", False),
    ("StringEquals", "aws:ResourceTag/kind", "writer", True),
    ("StringEquals", "iam:ResourceTag/kind", "writer", True),
    ("StringEquals", "aws:ResourceTag/kind", "reader", False),
    ("StringEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}", True),
    ("StringEquals", "aws:PrincipalTag/none", "red", False),
    ("StringNotEquals", "aws:PrincipalTag/none", "red", True),
    ("StringEqualsIfExists", "aws:PrincipalTag/none", "red", True),
    ("StringEqualsIfExists", "aws:PrincipalTag/team", "blue", False),
    ("ForAllValues:StringEquals", "aws:TagKeys", ["a", "b"], True),
    ("ForAnyValue:StringEquals", "aws:TagKeys", ["a", "b"], False),
    ("ForAllValues:StringNotEquals", "aws:TagKeys", ["a"], True),
    ("StringEquals", "aws:SourceVpc", "vpc-1", False),
    ("StringNotEquals", "aws:SourceVpc", "vpc-1", True),
]


def condition_value(value):
    return value() if callable(value) else value


def conditional(statements):
    def call(w):
        user = w.user(ASSUME, Tags=[{"Key": "team", "Value": "red"}])
        role = w.role(*statements(), Tags=[{"Key": "kind", "Value": "writer"}, {"Key": "team", "Value": "red"}])
        return w.assume(role, user)
    return call


for operator, key, value, is_true in CONDITIONS:
    shown = "…" if callable(value) else value
    as_allow = lambda operator=operator, key=key, value=value: [
        trust(condition={operator: {key: condition_value(value)}})]
    as_deny = lambda operator=operator, key=key, value=value: [
        trust(), trust(ANY, effect="Deny", condition={operator: {key: condition_value(value)}})]
    (allowed if is_true else denied)(f"Allow if {operator} {key} {shown}", conditional(as_allow))
    (denied if is_true else allowed)(f"Deny if {operator} {key} {shown}", conditional(as_deny))

denied("all of two conditions", trusting(trust(condition={
    "StringEquals": {"sts:RoleSessionName": "session"}, "Bool": {"aws:ViaAWSService": "true"}})))
allowed("both of two conditions", trusting(trust(condition={
    "StringEquals": {"sts:RoleSessionName": "session"}, "Bool": {"aws:ViaAWSService": "false"}})))

# --- What IAM refuses to store -----------------------------------------------------------------------------------


def stored_trust(document):
    return lambda w: w.answer(w.iam(TARGET).create_role, RoleName=w.name("role"),
                              AssumeRolePolicyDocument=document if isinstance(document, str) else policy(*document))


for name, document in [
    ("no JSON", "{"),
    ("no statement", []),
    ("an action of another service", [trust(action="s3:GetObject")]),
    ("a Resource", [{**trust(), "Resource": "*"}]),
    ("no Principal", [{"Effect": "Allow", "Action": "sts:AssumeRole"}]),
    ("an unknown operator", [trust(condition={"StringIs": {"aws:username": "x"}})]),
    ("an operator that cannot have IfExists", [trust(condition={"NullIfExists": {"aws:username": "true"}})]),
    ("the same Sid twice", [{**trust(), "Sid": "A"}, {**trust(), "Sid": "A"}]),
    ("an unknown Effect", [trust(effect="allow")]),
    ("an unknown element", [{**trust(), "Prinzipal": 1}]),
    ("everybody as principal, as a bare *", [trust("*")]),
    ("a wildcard in a principal", [trust({"AWS": f"arn:aws:iam::{CALLER}:user/*"})]),
    ("an unknown Version", '{"Version": "2013-10-17", "Statement": []}'),
]:
    case(f"a trust policy with {name}", stored_trust(document), 400, "MalformedPolicyDocument")
case("a trust policy of 5,000 characters", stored_trust([trust(condition={"StringEquals": {"sts:ExternalId": "a" * 5000}})]), 409, "LimitExceeded")

# --- MFA ---------------------------------------------------------------------------------------------------------

MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
WRONG_CODE = r"MultiFactorAuthentication failed with invalid MFA one time pass code\. ?"
WRONG_DEVICE = r"MultiFactorAuthentication failed, unable to validate MFA code\.  ?Please verify your MFA serial number is valid and associated with this user\."


def mfa(call):
    """Calls with a user who has a device, its serial number and seed, and a role that asks for MFA."""
    def run(w):
        user = w.user(ASSUME)
        serial, seed = w.mfa_device(user)
        return call(w, user, serial, seed, w.role(trust(condition=MFA)))
    return run


allowed("the code", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=serial, TokenCode=code(seed))))
allowed("the next code", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=serial, TokenCode=code(seed, 1))))
denied("no code", mfa(lambda w, user, serial, seed, role: w.assume(role, user)))
case("a wrong code", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=serial, TokenCode="000000")), 403, "AccessDenied", WRONG_CODE)
case("an old code", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=serial, TokenCode=code(seed, -10))), 403, "AccessDenied", WRONG_CODE)


def code_twice(w, user, serial, seed, role):
    now = code(seed, 1)
    w.session(role, user, SerialNumber=serial, TokenCode=now)
    return w.assume(role, user, SerialNumber=serial, TokenCode=now)


case("a code twice", mfa(code_twice), 403, "AccessDenied", WRONG_CODE)
case("another user's device", mfa(lambda w, user, serial, seed, role: w.assume(role, w.admin, SerialNumber=serial, TokenCode=code(seed))), 403, "AccessDenied", WRONG_DEVICE)
case("an unknown device", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=serial + "x", TokenCode=code(seed))), 403, "AccessDenied", WRONG_DEVICE)
case("the user's ARN for the device's", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=user.arn, TokenCode=code(seed))), 403, "AccessDenied", WRONG_DEVICE)
case("a device without a code", mfa(lambda w, user, serial, seed, role: w.assume(role, user, SerialNumber=serial)), 403, "AccessDenied", r".*provide both MFA serial number and one time pass code.*")
case("a code without a device", mfa(lambda w, user, serial, seed, role: w.assume(role, user, TokenCode=code(seed))), 403, "AccessDenied", r".*provide both MFA serial number and one time pass code.*")
AGE = {"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}}
allowed("the age of the code", mfa(lambda w, user, serial, seed, role: w.assume(w.role(trust(condition={**MFA, **AGE})), user, SerialNumber=serial, TokenCode=code(seed))))


def session_token(w, user, serial, seed, role):
    return w.sts("get_session_token", user, SerialNumber=serial, TokenCode=code(seed)).keys


allowed("GetSessionToken with a code, then AssumeRole", mfa(lambda w, *a: w.assume(a[3], session_token(w, *a))))
denied("GetSessionToken without a code, then AssumeRole", mfa(lambda w, user, serial, seed, role: w.assume(role, w.sts("get_session_token", user).keys)))
case("GetSessionToken with a wrong code", mfa(lambda w, user, serial, seed, role: w.sts("get_session_token", user, SerialNumber=serial, TokenCode="000000")), 403, "AccessDenied", WRONG_CODE)
denied("a role session has no MFA of its own", mfa(lambda w, user, serial, seed, role: w.assume(
    role, w.session(w.role(trust(condition=MFA), account=CALLER, allow=(ASSUME,)), user, SerialNumber=serial, TokenCode=code(seed)))))

# --- Durations ---------------------------------------------------------------------------------------------------

OVER_MAX = r"The requested DurationSeconds exceeds the MaxSessionDuration set for this role\."
OVER_CHAIN = r"The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining\."
case("over MaxSessionDuration", with_arguments(DurationSeconds=3601), 400, "ValidationError", OVER_MAX)
allowed("up to MaxSessionDuration", lambda w: w.assume(w.role(MaxSessionDuration=43200), DurationSeconds=43200))
case("over a MaxSessionDuration that was set", lambda w: w.assume(w.role(MaxSessionDuration=7200), DurationSeconds=7201), 400, "ValidationError", OVER_MAX)


def chain_for(duration, maximum, start="role"):
    def call(w):
        role = w.role(MaxSessionDuration=maximum)
        if start == "role":
            keys = w.session(w.role(account=CALLER, allow=(ASSUME,)))
        else:
            keys = w.sts("get_session_token").keys
        return w.assume(role, keys, DurationSeconds=duration)
    return call


case("a chain over an hour", chain_for(3601, 43200), 400, "ValidationError", OVER_CHAIN)
case("a chain over an hour and MaxSessionDuration", chain_for(7200, 3600), 400, "ValidationError", OVER_MAX)
allowed("a chain of an hour", chain_for(3600, 43200))
case("GetSessionToken, then over an hour", chain_for(3601, 43200, "token"), 400, "ValidationError", OVER_CHAIN)
allowed("GetSessionToken, then an hour", chain_for(3600, 43200, "token"))
for duration, rule in ((899, "greater than or equal to 900"), (129601, "less than or equal to 129600")):
    invalid(f"GetSessionToken for {duration} s", lambda w, duration=duration: w.sts("get_session_token", DurationSeconds=duration), rule)
allowed("GetSessionToken for 36 hours", lambda w: w.sts("get_session_token", DurationSeconds=129600))


def lifetime(seconds):
    return lambda value: abs(value["Credentials"]["Expiration"].timestamp() - time.time() - seconds) < 5


allowed("an hour by default", with_arguments(), lifetime(3600))
allowed("the expiry of a quarter of an hour", with_arguments(DurationSeconds=900), lifetime(900))
allowed("GetSessionToken's twelve hours by default", lambda w: w.sts("get_session_token"), lifetime(43200))

# --- Session tags ------------------------------------------------------------------------------------------------


def tags(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


TAGGING = ["sts:AssumeRole", "sts:TagSession"]
allowed("tags", trusting(trust(action=TAGGING), Tags=tags(team="red")))
denied("tags without TagSession in the trust", trusting(trust(), Tags=tags(team="red")), "sts:TagSession")
denied("tags without TagSession in the identity policy", lambda w: w.assume(
    w.role(trust(action=TAGGING)), w.user({**ASSUME, "Action": "sts:AssumeRole"}), Tags=tags(team="red")), "sts:TagSession")
allowed("a tag that the trust asks for", trusting(trust(action=TAGGING, condition={"StringEquals": {"aws:RequestTag/team": "red"}}), Tags=tags(team="red")))
denied("another value than the trust asks for", trusting(trust(action=TAGGING, condition={"StringEquals": {"aws:RequestTag/team": "red"}}), Tags=tags(team="blue")), "sts:TagSession")
denied("no tag where the trust asks for one", trusting(trust(action=TAGGING, condition={"StringEquals": {"aws:RequestTag/team": "red"}})))
ONLY_TEAM = {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
allowed("the only tag key that the trust allows", trusting(trust(action=TAGGING, condition=ONLY_TEAM), Tags=tags(team="red")))
denied("a tag key that the trust does not allow", trusting(trust(action=TAGGING, condition=ONLY_TEAM), Tags=tags(team="red", cost="1")), "sts:TagSession")
TRANSITIVE = {"ForAllValues:StringEquals": {"sts:TransitiveTagKeys": ["team"]}}
allowed("a transitive tag that the trust allows", trusting(trust(action=TAGGING, condition=TRANSITIVE), Tags=tags(team="red"), TransitiveTagKeys=["team"]))
denied("a transitive tag that the trust does not allow", trusting(trust(action=TAGGING, condition=TRANSITIVE), Tags=tags(team="red", cost="1"), TransitiveTagKeys=["team", "cost"]), "sts:TagSession")
allowed("20 tags", trusting(trust(action=TAGGING), Tags=tags(**{f"k{n}": "" for n in range(20)})))
invalid("51 tags", trusting(trust(action=TAGGING), Tags=tags(**{f"k{n}": "" for n in range(51)})), "at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")
invalid("a tag key of 129 characters", trusting(trust(action=TAGGING), Tags=tags(**{"k" * 129: "v"})), "less than or equal to 128")
invalid("a tag value of 257 characters", trusting(trust(action=TAGGING), Tags=tags(team="v" * 257)), "less than or equal to 256")
invalid("a tag key that is empty", trusting(trust(action=TAGGING), Tags=tags(**{"": "v"})), "greater than or equal to 1")
invalid("a tag value with a character that tags do not have", trusting(trust(action=TAGGING), Tags=tags(team="a#b")), "regular expression")
allowed("a tag key of 128 characters, and a value of 256", trusting(trust(action=TAGGING), Tags=tags(**{"k" * 128: "v" * 256})))
allowed("a tag in Greek, with a space", trusting(trust(action=TAGGING), Tags=tags(**{"ομάδα": "το κόκκινο"})))
case("the same tag key in another case", trusting(trust(action=TAGGING), Tags=tags(team="a", Team="b")), 400, "InvalidParameterValue",
     r"Duplicate tag keys found\. Please note that Tag keys are case insensitive\.")
case("a transitive key that is no tag", trusting(trust(action=TAGGING), Tags=tags(team="a"), TransitiveTagKeys=["cost"]), 400, "InvalidParameterValue",
     r"The specified transitive tag key must be included in the requested tags\.")
case("a tag key of AWS's own", trusting(trust(action=TAGGING), Tags=tags(**{"aws:x": "1"})), 400)


def tagged_chain(second, arguments, principal=CALLER, **next_arguments):
    def call(w):
        middle = w.role(trust(action=TAGGING + ["sts:SetSourceIdentity"]), account=CALLER, allow=(ASSUME,))
        return w.assume(w.role(*second), w.session(middle, **arguments), **next_arguments)
    return call


HAS_TEAM = trust(action=TAGGING, condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})
allowed("a session tag as a principal tag", tagged_chain([HAS_TEAM], {"Tags": tags(team="red")}))
denied("another session tag as a principal tag", tagged_chain([HAS_TEAM], {"Tags": tags(team="blue")}))
denied("no session tag as a principal tag", tagged_chain([HAS_TEAM], {}))
INHERITED = {"Tags": tags(team="red"), "TransitiveTagKeys": ["team"]}
allowed("a transitive tag", tagged_chain([HAS_TEAM], INHERITED))
denied("a transitive tag without TagSession in the next trust", tagged_chain([trust()], INHERITED), "sts:TagSession")
allowed("a tag that is not transitive needs no TagSession", tagged_chain([trust()], {"Tags": tags(team="red")}))
CONFLICT = r"One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session\."
for value in ("blue", "red"):
    case(f"a transitive tag set again to {value}", tagged_chain([trust(action=TAGGING)], INHERITED, Tags=tags(Team=value)), 400, "InvalidParameterValue", CONFLICT)
allowed("a new tag on a chained hop", tagged_chain([trust(action=TAGGING)], INHERITED, Tags=tags(cost="1")))
allowed("a tag that is not transitive, set again", tagged_chain([trust(action=TAGGING)], {"Tags": tags(team="red")}, Tags=tags(team="blue")))


def three_hops(transitive, expected_tag):
    def call(w):
        first = w.role(trust(action=TAGGING), account=CALLER, allow=(ASSUME,))
        arguments = {"Tags": tags(team="red")}
        if transitive:
            arguments["TransitiveTagKeys"] = ["team"]
        second = w.role(trust(action=TAGGING), account=OTHER, allow=(ASSUME,))
        keys = w.session(second, w.session(first, **arguments))
        condition = {"StringEquals": {"aws:PrincipalTag/team": "red"}}
        return w.assume(w.role(trust({"AWS": OTHER}, action=TAGGING, condition=condition)), keys)
    return call


allowed("a transitive tag after three hops", three_hops(True, "red"))
denied("a tag that is not transitive after two hops", three_hops(False, None))

# --- Source identity ---------------------------------------------------------------------------------------------

SETTING = ["sts:AssumeRole", "sts:SetSourceIdentity"]
allowed("a source identity", trusting(trust(action=SETTING), SourceIdentity="Diego"), lambda value: value["SourceIdentity"] == "Diego")
denied("a source identity without SetSourceIdentity in the trust", trusting(trust(), SourceIdentity="Diego"), "sts:SetSourceIdentity")
denied("a source identity without SetSourceIdentity in the identity policy", lambda w: w.assume(
    w.role(trust(action=SETTING)), w.user({**ASSUME, "Action": "sts:AssumeRole"}), SourceIdentity="Diego"), "sts:SetSourceIdentity")
IS_DIEGO = trust(action=SETTING, condition={"StringEquals": {"sts:SourceIdentity": "Diego"}})
allowed("the source identity that the trust asks for", trusting(IS_DIEGO, SourceIdentity="Diego"))
denied("another source identity than the trust asks for", trusting(IS_DIEGO, SourceIdentity="Maria"), "sts:SetSourceIdentity")
denied("no source identity where the trust asks for one", trusting(IS_DIEGO))
DIEGO = {"SourceIdentity": "Diego"}
allowed("an inherited source identity", tagged_chain([trust(action=SETTING)], DIEGO), lambda value: value.get("SourceIdentity") == "Diego")
denied("an inherited source identity without SetSourceIdentity", tagged_chain([trust()], DIEGO), "sts:SetSourceIdentity")
allowed("an inherited source identity, repeated", tagged_chain([trust(action=SETTING)], DIEGO, SourceIdentity="Diego"))
case("an inherited source identity, changed", tagged_chain([trust(action=SETTING)], DIEGO, SourceIdentity="Maria"), 400, "ValidationError",
     "The source identity is already set for this assume role session")
allowed("an inherited source identity as aws:SourceIdentity", tagged_chain(
    [trust(action=SETTING, condition={"StringEquals": {"aws:SourceIdentity": "Diego"}})], DIEGO))

# --- Session policies: what a session may do ---------------------------------------------------------------------


def put_record(keys_of, action="firehose:PutRecord"):
    """Puts a record with the session of a role that may do everything."""
    def call(w):
        name = w.name("stream")
        w.client("firehose", w.roots[TARGET]).create_delivery_stream(DeliveryStreamName=name)
        keys = keys_of(w, name)
        return w.answer(w.client("firehose", keys).put_record, DeliveryStreamName=name, Record={"Data": b"x"})
    return call


def session_of(allow=(ALLOW_ALL,), **arguments):
    def keys(w, name):
        replaced = json.loads(json.dumps(arguments).replace("StreamName", name))
        statements = json.loads(json.dumps(allow).replace("StreamName", name))
        return w.session(w.role(trust(action=TAGGING), allow=statements), **replaced)
    return keys


STREAM = f"arn:aws:firehose:eu-west-1:{TARGET}:deliverystream/StreamName"
PUT = {"Effect": "Allow", "Action": "firehose:PutRecord", "Resource": STREAM}
FIREHOSE_DENIED = r"User: arn:aws:sts::222222222222:assumed-role/\S+ is not authorized to perform: firehose:PutRecord on resource: arn:aws:firehose:eu-west-1:222222222222:deliverystream/\S+ .*"


def record_denied(name, call):
    case(name, call, 400, "AccessDeniedException", FIREHOSE_DENIED)


allowed("a record", put_record(session_of()))
allowed("a record by a policy on the stream", put_record(session_of((PUT,))))
record_denied("a record without permission", put_record(session_of(())))
record_denied("a record by a policy on another stream", put_record(session_of(({**PUT, "Resource": STREAM + "2"},))))
record_denied("a record by a policy in another region", put_record(session_of(({**PUT, "Resource": STREAM.replace("eu-west-1", "us-east-1")},))))
allowed("a session policy that allows it", put_record(session_of(Policy=policy(PUT))))
record_denied("a session policy that allows something else", put_record(session_of(Policy=policy({**PUT, "Action": "s3:*"}))))
record_denied("a session policy that denies it", put_record(session_of(Policy=policy(ALLOW_ALL, {**PUT, "Effect": "Deny"}))))
record_denied("a session policy beyond the identity policy", put_record(session_of((), Policy=policy(ALLOW_ALL))))
record_denied("an identity policy that denies it", put_record(session_of((ALLOW_ALL, {**PUT, "Effect": "Deny"}))))
BY_TAG = {**PUT, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "red"}}}
allowed("a policy by the session's tag", put_record(session_of((BY_TAG,), Tags=tags(team="red"))))
record_denied("a policy by another tag", put_record(session_of((BY_TAG,), Tags=tags(team="blue"))))
record_denied("a policy by a tag that there is not", put_record(session_of((BY_TAG,))))
ELSEWHERE = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}
allowed("Deny outside of the region", put_record(session_of((ALLOW_ALL, ELSEWHERE))))
RANGE = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}
allowed("Deny outside of the network", put_record(session_of((ALLOW_ALL, RANGE))))
record_denied("Deny outside of another network", put_record(session_of((ALLOW_ALL, {**RANGE, "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}))))


def managed(statement, account=TARGET):
    def keys(w, name):
        document = policy(json.loads(json.dumps(statement).replace("StreamName", name)))
        arn = w.iam(account).create_policy(PolicyName=w.name("policy"), PolicyDocument=document)["Policy"]["Arn"]
        return w.session(w.role(allow=(ALLOW_ALL,)), PolicyArns=[{"arn": arn}])
    return keys


allowed("a managed session policy", put_record(managed(PUT)))
record_denied("a managed session policy that allows something else", put_record(managed({**PUT, "Action": "s3:*"})))
case("a managed session policy of another account", lambda w: w.assume(w.role(), PolicyArns=[
    {"arn": w.iam(CALLER).create_policy(PolicyName=w.name("policy"), PolicyDocument=policy(ALLOW_ALL))["Policy"]["Arn"]}]), 400)
for name, document in (("no JSON", "{"), ("a Principal", policy({**ALLOW_ALL, "Principal": "*"})), ("no Action", policy({"Effect": "Allow", "Resource": "*"}))):
    case(f"a session policy with {name}", with_arguments(Policy=document), 400, "MalformedPolicyDocument")
allowed("the packed size of a session policy", with_arguments(Policy=policy(ALLOW_ALL)), lambda value: 0 < value["PackedPolicySize"] <= 100)
allowed("no packed size of nothing", with_arguments(), lambda value: "PackedPolicySize" not in value)
case("50 tags that are too large together", trusting(trust(action=TAGGING), Tags=[
    {"Key": f"{n:03}" + "k" * 125, "Value": f"{n:03}" + "".join(chr(97 + (n * 7 + m * m) % 26) for m in range(253))} for n in range(50)]), 400, "PackedPolicyTooLarge")


# --- Permissions boundaries, groups, tags of users and roles -----------------------------------------------------

def boundary(w, account, *statements):
    return w.iam(account).create_policy(PolicyName=w.name("boundary"), PolicyDocument=policy(*statements))["Policy"]["Arn"]


def with_boundary(*statements):
    return lambda w: w.assume(w.role(), w.user(ASSUME, PermissionsBoundary=boundary(w, CALLER, *statements)))


allowed("a boundary that allows it", with_boundary(ASSUME))
denied("a boundary that allows something else", with_boundary({**ASSUME, "Action": "s3:*"}))
denied("a boundary that denies it", with_boundary(ALLOW_ALL, {**ASSUME, "Effect": "Deny"}))
record_denied("a role's boundary", put_record(lambda w, name: w.session(
    w.role(allow=(ALLOW_ALL,), PermissionsBoundary=boundary(w, TARGET, {**PUT, "Action": "s3:*", "Resource": "*"})))))
allowed("a user as principal, with a boundary that says nothing", lambda w: w.assume(
    w.role(trust({"AWS": (user := w.user(PermissionsBoundary=boundary(w, CALLER, {**ASSUME, "Action": "s3:*"}))).arn}), account=CALLER), user))


def group_member(w, *statements):
    iam, group, user = w.iam(), w.name("group"), w.user()
    iam.create_group(GroupName=group)
    iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy(*statements))
    iam.add_user_to_group(GroupName=group, UserName=user.name)
    return user, group


allowed("a group's policy", lambda w: w.assume(w.role(), group_member(w, ASSUME)[0]))
denied("a group's policy that denies", lambda w: w.assume(w.role(), group_member(w, ASSUME, {**ASSUME, "Effect": "Deny"})[0]))


def left_group(w):
    user, group = group_member(w, ASSUME)
    w.iam().remove_user_from_group(GroupName=group, UserName=user.name)
    return w.assume(w.role(), user)


denied("the policy of a group that the user left", left_group)


def detached(w):
    user, iam = w.user(), w.iam()
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.attach_user_policy(UserName=user.name, PolicyArn=arn)
    w.session(w.role(), user)
    iam.detach_user_policy(UserName=user.name, PolicyArn=arn)
    return w.assume(w.role(), user)


denied("a policy that was detached", detached)


def new_version(w):
    user, iam = w.user(), w.iam()
    arn = iam.create_policy(PolicyName=w.name("policy"), PolicyDocument=policy({**ASSUME, "Action": "s3:*"}))["Policy"]["Arn"]
    iam.attach_user_policy(UserName=user.name, PolicyArn=arn)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(ASSUME), SetAsDefault=True)
    return w.assume(w.role(), user)


allowed("a new version of a policy", new_version)

# --- Signatures and keys -----------------------------------------------------------------------------------------

WRONG_SIGNATURE = r"The request signature we calculated does not match the signature you provided\. Check your AWS Secret Access Key and signing method\. Consult the service documentation for details\."


def changed(keys, **changes):
    result = Keys({"AccessKeyId": keys.id, "SecretAccessKey": keys.secret, "SessionToken": keys.token})
    for name, value in changes.items():
        setattr(result, name, value)
    return result


def identity(keys_of=lambda w: w.admin):
    return lambda w: w.sts("get_caller_identity", keys_of(w))


case("a wrong secret", identity(lambda w: changed(w.admin, secret="wrong")), 403, "SignatureDoesNotMatch", WRONG_SIGNATURE)
case("an unknown key", identity(lambda w: changed(w.admin, id="AKIAIOSFODNN7EXAMPLE")), 403, "InvalidClientTokenId", INVALID_TOKEN)
case("a session without its token", identity(lambda w: changed(w.session(w.role()), token=None)), 403, "InvalidClientTokenId", INVALID_TOKEN)
case("a session with another's token", identity(lambda w: changed(w.session(w.role()), token=w.session(w.role()).token)), 403, "InvalidClientTokenId", INVALID_TOKEN)
case("a user with a token", identity(lambda w: changed(w.admin, token=w.session(w.role()).token)), 403, "InvalidClientTokenId", INVALID_TOKEN)
case("a session without its token and with a wrong secret", identity(lambda w: changed(w.session(w.role()), token=None, secret="wrong")), 403, "InvalidClientTokenId", INVALID_TOKEN)
CALL = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
allowed("a request by hand", lambda w: w.raw(CALL))
case("a body that was changed", lambda w: w.raw({**CALL, "x": "1"}, tamper=lambda body: body.replace(b"x=1", b"x=2")), 403, "SignatureDoesNotMatch", WRONG_SIGNATURE)
case("no signature", lambda w: w.raw(CALL, keys=False), 403, "MissingAuthenticationToken", "Request is missing Authentication Token")
for minutes in (-14, 14):
    allowed(f"a clock that is {minutes} minutes off", lambda w, minutes=minutes: w.raw(CALL, time=60 * minutes))
case("a clock that is 16 minutes late", lambda w: w.raw(CALL, time=-960), 403, "SignatureDoesNotMatch", r"Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 15 min\.\)")
case("a clock that is 16 minutes early", lambda w: w.raw(CALL, time=960), 403, "SignatureDoesNotMatch", r"Signature not yet current: \d{8}T\d{6}Z is still later than \d{8}T\d{6}Z \(\d{8}T\d{6}Z \+ 15 min\.\)")


def key_change(change):
    def call(w):
        user = w.user()
        change(w.iam(), user)
        return w.sts("get_caller_identity", user)
    return call


case("a key that is inactive", key_change(lambda iam, user: iam.update_access_key(UserName=user.name, AccessKeyId=user.id, Status="Inactive")), 403, "InvalidClientTokenId", INVALID_TOKEN)
case("a key that was deleted", key_change(lambda iam, user: iam.delete_access_key(UserName=user.name, AccessKeyId=user.id)), 403, "InvalidClientTokenId", INVALID_TOKEN)


def activated(iam, user):
    for status in ("Inactive", "Active"):
        iam.update_access_key(UserName=user.name, AccessKeyId=user.id, Status=status)


allowed("a key that is active again", key_change(activated))

# --- The wire ----------------------------------------------------------------------------------------------------

allowed("GET", lambda w: w.raw(CALL, method="GET"))
allowed("a presigned URL", lambda w: w.raw(CALL, method="GET", presigned=True))
allowed("JSON if asked for", lambda w: w.raw(CALL, headers={"Accept": "application/json"}),
        lambda value: json.loads(value[1])["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Account"] == CALLER)
case("an unknown action", lambda w: w.raw({**CALL, "Action": "Fly"}), 400, "InvalidAction", "Could not find operation Fly for version 2011-06-15")
case("an unknown version", lambda w: w.raw({**CALL, "Version": "2012-01-01"}), 400, "InvalidAction", "Could not find operation GetCallerIdentity for version 2012-01-01")
case("no version", lambda w: w.raw({"Action": "GetCallerIdentity"}), 400, "InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED")
case("no action", lambda w: w.raw({"Version": "2011-06-15"}), 302)
case("a JSON body", lambda w: w.raw("", body=b"{}", headers={"Content-Type": "application/json"}), 302)
case("a body above 10 MB", lambda w: w.raw("", body=b"Action=GetCallerIdentity&Version=2011-06-15&x=" + b"x" * 10_000_000), 413)
allowed("a request ID", lambda w: w.raw(CALL), lambda value: len(value[0].headers["x-amzn-requestid"]) == 36)

# --- Who may call what -------------------------------------------------------------------------------------------

DENY_ALL = {"Effect": "Deny", "Action": "*", "Resource": "*"}
allowed("GetCallerIdentity of a user", identity(), lambda value: value["Arn"].startswith(f"arn:aws:iam::{CALLER}:user/") and value["UserId"].startswith("AIDA"))
allowed("GetCallerIdentity of a session", identity(lambda w: w.session(w.role())), lambda value: ":assumed-role/" in value["Arn"] and value["UserId"].endswith(":session"))
allowed("GetCallerIdentity of the root user", identity(lambda w: w.roots[CALLER]), lambda value: value == {**value, "Arn": f"arn:aws:iam::{CALLER}:root", "UserId": CALLER})
allowed("GetCallerIdentity under a Deny", identity(lambda w: w.user(DENY_ALL)))
allowed("GetSessionToken under a Deny", lambda w: w.sts("get_session_token", w.user(DENY_ALL)))
for operation, arguments in (("get_session_token", {}), ("get_federation_token", {"Name": "someone"})):
    api = "GetSessionToken" if operation == "get_session_token" else "GetFederationToken"
    case(f"{api} by a role", lambda w, o=operation, a=arguments: w.sts(o, w.session(w.role(allow=(ALLOW_ALL,))), **a), 403, "AccessDenied", f"Cannot call {api} with session credentials")
    case(f"{api} by GetSessionToken's session", lambda w, o=operation, a=arguments: w.sts(o, w.sts("get_session_token").keys, **a), 403, "AccessDenied", f"Cannot call {api} with session credentials")
allowed("GetCallerIdentity by GetSessionToken's session", identity(lambda w: w.sts("get_session_token").keys))
allowed("GetFederationToken", lambda w: w.sts("get_federation_token", Name="someone", Policy=policy(ALLOW_ALL)), lambda value: value["FederatedUser"]["Arn"].endswith(":federated-user/someone"))
invalid("GetFederationToken with a name of 33 characters", lambda w: w.sts("get_federation_token", Name="a" * 33), "less than or equal to 32")
allowed("GetAccessKeyInfo", lambda w: w.sts("get_access_key_info", AccessKeyId=w.admin.id), lambda value: value["Account"] == CALLER)
allowed("AssumeRole's answer", lambda w: w.assume(w.role(name=w.name("Answer"))), lambda value:
        re.fullmatch(r"AROA[A-Z0-9]{17}:session", value["AssumedRoleUser"]["AssumedRoleId"])
        and re.fullmatch(r"ASIA[A-Z0-9]{16}", value["Credentials"]["AccessKeyId"])
        and len(value["Credentials"]["SecretAccessKey"]) == 40)
case("IAM by GetSessionToken's session without MFA", lambda w: w.answer(w.client("iam", w.sts("get_session_token").keys).list_users), 403, "InvalidClientTokenId")

# --- IAM's own API -----------------------------------------------------------------------------------------------


def iam_call(operation, **arguments):
    return lambda w: w.answer(getattr(w.iam(), operation), **arguments)


case("a user who does not exist", iam_call("get_user", UserName="none"), 404, "NoSuchEntity", r"The user with name none cannot be found\.")
case("a role that does not exist, in IAM", iam_call("get_role", RoleName="none"), 404, "NoSuchEntity", r"The role with name none cannot be found\.")
case("a policy that does not exist", iam_call("get_policy", PolicyArn=f"arn:aws:iam::{CALLER}:policy/none"), 404, "NoSuchEntity")
case("a user who exists", lambda w: w.answer(w.iam().create_user, UserName=w.nobody.name), 409, "EntityAlreadyExists", r"User with name \S+ already exists\.")
case("a user who exists in another case", lambda w: w.answer(w.iam().create_user, UserName=w.nobody.name.upper()), 409, "EntityAlreadyExists")
case("a user with keys cannot be deleted", lambda w: w.answer(w.iam().delete_user, UserName=w.nobody.name), 409, "DeleteConflict", r"Cannot delete entity, must delete access keys first\.")
case("a role with policies cannot be deleted", lambda w: w.answer(w.iam(TARGET).delete_role, RoleName=w.role(allow=(ALLOW_ALL,)).rsplit("/", 1)[1]), 409, "DeleteConflict", r"Cannot delete entity, must delete policies first\.")


def third_key(w):
    user, iam = w.user(), w.iam()
    iam.create_access_key(UserName=user.name)
    return w.answer(iam.create_access_key, UserName=user.name)


case("a third access key", third_key, 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
case("IAM without permission", lambda w: w.answer(w.client("iam", w.nobody).create_user, UserName="x"), 403, "AccessDenied", r"User: \S+ is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::111111111111:user/x .*")
MUST_BOUND = {"Effect": "Deny", "Action": "iam:CreateUser", "Resource": "*",
              "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}}}


def create_user_as(statements, **arguments):
    return lambda w: w.answer(w.client("iam", w.user(*statements)).create_user, UserName=w.name("user"), **arguments)


case("a user without the boundary that the creator must set", create_user_as((ALLOW_ALL, MUST_BOUND)), 403, "AccessDenied")
allowed("a user with the boundary that the creator must set", create_user_as((ALLOW_ALL, MUST_BOUND), PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"))
MUST_TAG = {"Effect": "Allow", "Action": ["iam:CreateUser", "iam:TagUser"], "Resource": "*", "Condition": {"StringEquals": {"aws:RequestTag/team": "red"}}}
case("a user without the tag that the creator must set", create_user_as((MUST_TAG,)), 403, "AccessDenied")
allowed("a user with the tag that the creator must set", create_user_as((MUST_TAG,), Tags=tags(team="red")))
case("an identity policy with a Principal", lambda w: w.answer(w.iam().put_user_policy, UserName=w.nobody.name, PolicyName="x", PolicyDocument=policy({**ALLOW_ALL, "Principal": "*"})), 400, "MalformedPolicyDocument")
case("an identity policy with an unknown operator", lambda w: w.answer(w.iam().put_user_policy, UserName=w.nobody.name, PolicyName="x", PolicyDocument=policy({**ALLOW_ALL, "Condition": {"StringIs": {"aws:username": "x"}}})), 400, "MalformedPolicyDocument")
allowed("a policy as it was put", lambda w: w.answer(w.iam().get_user_policy, UserName=w.admin.name, PolicyName="p"), lambda value: value["PolicyDocument"]["Statement"] == [ALLOW_ALL])
allowed("pages of a list", lambda w: w.answer(w.iam().list_users, MaxItems=1), lambda value: value["IsTruncated"] and len(value["Users"]) == 1)


def pages(w):
    paginator = w.iam().get_paginator("list_users").paginate(PaginationConfig={"PageSize": 7})
    return w.answer(lambda: {"names": [user["UserName"] for page in paginator for user in page["Users"]]})


allowed("all pages of a list", pages, lambda value: len(value["names"]) == len(set(value["names"])) > 7)

# --- Firehose and S3 ---------------------------------------------------------------------------------------------


def firehose(operation, **arguments):
    def call(w):
        client, name = w.client("firehose", w.roots[TARGET]), w.name("stream")
        client.create_delivery_stream(DeliveryStreamName=name)
        return w.answer(getattr(client, operation), **{"DeliveryStreamName": name, **arguments})
    return call


allowed("a batch", firehose("put_record_batch", Records=[{"Data": b"x"}] * 500), lambda value: value["FailedPutCount"] == 0 and len(value["RequestResponses"]) == 500)
case("a batch of 501", firehose("put_record_batch", Records=[{"Data": b"x"}] * 501), 400, "ValidationException", r".*at 'records' failed to satisfy constraint: Member must have length less than or equal to 500")
case("an empty batch", firehose("put_record_batch", Records=[]), 400, "ValidationException")
case("a batch above 4 MiB", firehose("put_record_batch", Records=[{"Data": b"x" * 1_000_000}] * 5), 400, "InvalidArgumentException", "Records size exceeds 4 MB limit")
case("a record above 1000 KiB", firehose("put_record", Record={"Data": b"x" * 1_024_001}), 400, "ValidationException")
allowed("a record of 1000 KiB", firehose("put_record", Record={"Data": b"x" * 1_024_000}))
case("a stream that does not exist", firehose("put_record", DeliveryStreamName="none", Record={"Data": b"x"}), 400, "ResourceNotFoundException", r"Firehose none under account 222222222222 not found\.")
case("a stream that exists", firehose("create_delivery_stream"), 400, "ResourceInUseException")


def s3(operation, session=None, **arguments):
    def call(w):
        bucket = w.name("bucket")
        w.client("s3", w.roots[TARGET]).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        w.client("s3", w.roots[TARGET]).put_object(Bucket=bucket, Key="a/b c+ü", Body=b"content")
        keys = session_of(json.loads(json.dumps(session).replace("BucketName", bucket)))(w, bucket) if session is not None else w.roots[TARGET]
        return w.answer(getattr(w.client("s3", keys), operation), **{"Bucket": bucket, **arguments})
    return call


READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::BucketName/a/*"}
LIST = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::BucketName"}
allowed("an object", s3("get_object", Key="a/b c+ü"), lambda value: value["Body"].read() == b"content")
allowed("an object, as a role may", s3("get_object", (READ,), Key="a/b c+ü"))
case("an object, as a role may not", s3("get_object", ({**READ, "Action": "s3:PutObject"},), Key="a/b c+ü"), 403, "AccessDenied")
case("no object, of a bucket that the role may list", s3("get_object", (READ, LIST), Key="a/none"), 404, "NoSuchKey", r"The specified key does not exist\.")
case("no object, of a bucket that the role may not list", s3("get_object", (READ,), Key="a/none"), 403, "AccessDenied")
case("no bucket", s3("list_objects_v2", Bucket="no-such-bucket"), 404, "NoSuchBucket", "The specified bucket does not exist")
allowed("the objects of a bucket", s3("list_objects_v2"), lambda value: [o["Key"] for o in value["Contents"]] == ["a/b c+ü"])
allowed("the folders of a bucket", s3("list_objects_v2", Delimiter="/"), lambda value: value["CommonPrefixes"] == [{"Prefix": "a/"}] and "Contents" not in value)
OF_PREFIX = {**LIST, "Condition": {"StringLike": {"s3:prefix": "a/*"}}}
allowed("a list below a prefix that the role may list", s3("list_objects_v2", (OF_PREFIX,), Prefix="a/b"))
case("a list below a prefix that the role may not list", s3("list_objects_v2", (OF_PREFIX,), Prefix="c/"), 403, "AccessDenied")
def bucket_policy(effect, allow=(READ,), own=True, **element):
    def call(w):
        bucket, caller = w.name("bucket"), TARGET if own else CALLER
        owner = w.client("s3", w.roots[TARGET])
        owner.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        owner.put_object(Bucket=bucket, Key="a/b", Body=b"content")
        user = w.user(*json.loads(json.dumps(allow).replace("BucketName", bucket)), account=caller)
        principal = element.get("NotPrincipal", {"AWS": user.arn})
        name = "NotPrincipal" if "NotPrincipal" in element else "Principal"
        owner.put_bucket_policy(Bucket=bucket, Policy=policy({"Effect": effect, name: principal, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}))
        return w.answer(w.client("s3", user).get_object, Bucket=bucket, Key="a/b")
    return call


allowed("a bucket policy within an account, without a policy of the user", bucket_policy("Allow", ()))
case("a bucket policy that denies", bucket_policy("Deny"), 403, "AccessDenied", r".* with an explicit deny in a resource-based policy")
allowed("a bucket policy across accounts", bucket_policy("Allow", own=False))
case("a bucket policy across accounts, without a policy of the user", bucket_policy("Allow", (), own=False), 403, "AccessDenied", "Access Denied")
case("a bucket policy that excepts the account, but not the user", bucket_policy("Deny", NotPrincipal={"AWS": TARGET}), 403, "AccessDenied", r".* with an explicit deny in a resource-based policy")
case("no bucket policy", s3("get_bucket_policy"), 404, "NoSuchBucketPolicy", "The bucket policy does not exist")
case("a public bucket policy", s3("put_bucket_policy", Policy=policy({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*"})), 403, "AccessDenied", r".* because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access\.")
case("S3 with a wrong secret", lambda w: w.answer(w.client("s3", changed(w.admin, secret="wrong")).list_buckets), 403, "SignatureDoesNotMatch", r"The request signature we calculated does not match the signature you provided\. Check your key and signing method\.")
case("S3 with a wrong clock", lambda w: w.raw("", method="GET", service="s3", time=-16 * 60), 403, "RequestTimeTooSkewed")
case("S3 with an unknown key", lambda w: w.answer(w.client("s3", changed(w.admin, id="AKIAIOSFODNN7EXAMPLE")).list_buckets), 403, "InvalidAccessKeyId")


def exported(**arguments):
    def call(w):
        role = w.role()
        answer = w.answer(w.iam(TARGET).get_account_authorization_details, MaxItems=1000, **arguments)
        if answer.value:
            answer.value["role"] = role
        return answer
    return call


allowed("an export of an account", exported(), lambda value: any(
    role["Arn"] == value["role"] and role["AssumeRolePolicyDocument"]["Version"] == "2012-10-17" for role in value["RoleDetailList"]))
allowed("an export of an account's users", exported(Filter=["User"]), lambda value: value["RoleDetailList"] == [] and "UserDetailList" in value)
case("an export of something unknown", exported(Filter=["Server"]), 400, "ValidationError", r".*at 'filter' failed to satisfy constraint: Member must satisfy enum value set: .*")
case("an export by a user who may not", lambda w: w.answer(w.client("iam", w.nobody).get_account_authorization_details), 403, "AccessDenied", r"User: \S+ is not authorized to perform: iam:GetAccountAuthorizationDetails on resource: \* .*")


def web_identity_token(enabled=True, **arguments):
    def call(w):
        iam = w.iam(OTHER)
        try:
            iam.enable_outbound_web_identity_federation()
        except iam.exceptions.FeatureEnabledException:
            pass
        if not enabled:
            iam.disable_outbound_web_identity_federation()
        user = w.user({"Effect": "Allow", "Action": "sts:*", "Resource": "*"}, account=OTHER)
        return w.sts("get_web_identity_token", user, Audience=["a"], SigningAlgorithm="ES384", **arguments)
    return call


allowed("a web identity token", web_identity_token(), lambda value: value["WebIdentityToken"].count(".") == 2)
case("a web identity token, not enabled", web_identity_token(False), 403, "OutboundWebIdentityFederationDisabledException")
case("a web identity token for too long", web_identity_token(DurationSeconds=3601), 400, "ValidationError")
case("no outbound federation", lambda w: w.answer(w.iam(CALLER).get_outbound_web_identity_federation_info), 404, "FeatureDisabled")


def unsigned(service, operation, **arguments):
    return lambda w: w.answer(getattr(w.unsigned(service), operation), **arguments)


# Without a signature that names the service, these must not be taken for requests to STS.
case("an unsigned put of a record", unsigned("firehose", "put_record", DeliveryStreamName="s", Record={"Data": b"x"}), 400, "MissingAuthenticationTokenException", "Request is missing Authentication Token")
case("an unsigned get of an object", unsigned("s3", "get_object", Bucket="bucket", Key="key"), 403, "AccessDenied", "Access Denied")
case("an unsigned put of an object", unsigned("s3", "put_object", Bucket="bucket", Key="key", Body=b"x"), 403, "AccessDenied", "Access Denied")
case("an unsigned list of objects", unsigned("s3", "list_objects_v2", Bucket="bucket"), 403, "AccessDenied", "Access Denied")
case("an unsigned list of buckets", unsigned("s3", "list_buckets"), 403, "AccessDenied", "Access Denied")
case("an unsigned call of IAM", unsigned("iam", "list_users"), 403, "MissingAuthenticationToken", "Request is missing Authentication Token")
case("an unsigned call of STS", unsigned("sts", "get_caller_identity"), 403, "MissingAuthenticationToken", "Request is missing Authentication Token")


def holds(check, value):
    try:
        return check(value)
    except (KeyError, TypeError, ValueError):
        return False


def run(world, only, verbose):
    right = total = 0
    for name, call, status, error_code, message, check in CASES:
        if only and only not in name:
            continue
        total += 1
        answer, problem = None, None
        try:
            answer = call(world)
        except Exception as error:  # The set-up of a case may fail, too.
            problem = f"{type(error).__name__}: {error}"
        if problem is None:
            if (answer.status, answer.code) != (status, error_code) and (error_code is not None or answer.status != status):
                problem = repr(answer)
            elif message is not None and not re.fullmatch(message, answer.message or "", re.DOTALL):
                problem = repr(answer)
            elif check is not None and not holds(check, answer.value):
                problem = f"{answer.value}"
        if problem is None:
            right += 1
        else:
            expected = f"{status} {error_code or ''}".strip()
            print(f"differs: {name}: AWS {expected}; here {problem[:300]}")
        if verbose and problem is None:
            print(f"as AWS: {name}: {answer!r}")
    print(f"{right} of {total} as AWS")
    return right == total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("endpoint", help="such as http://127.0.0.1:4570")
    parser.add_argument("--only", metavar="TEXT", help="only the cases with this text in their names")
    parser.add_argument("--verbose", action="store_true", help="print the cases that are as AWS, too")
    options = parser.parse_args()
    sys.exit(0 if run(World(options.endpoint), options.only, options.verbose) else 1)
