"""The accounts behind an endpoint, set up with IAM's API, and helpers for the cases."""

import base64
import datetime
import hashlib
import hmac
import itertools
import json
import struct
import urllib.parse

import boto3
import botocore
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import urllib3

CALLER, TARGET, OTHER = "111111111111", "222222222222", "333333333333"
CONFIG = botocore.config.Config(
    retries={"total_max_attempts": 1}, parameter_validation=False, s3={"addressing_style": "path"}
)
ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ASSUME = {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}


class Keys:
    """Credentials, as they come from IAM or STS."""

    def __init__(self, answer):
        self.id = answer["AccessKeyId"]
        self.secret = answer["SecretAccessKey"]
        self.token = answer.get("SessionToken")


class Answer:
    """The result of a request: the parsed response or the error."""

    def __init__(self, status, code=None, message=None, value=None, keys=None):
        self.status, self.code, self.message, self.value = status, code, message, value
        self.keys = keys

    def __repr__(self):
        if self.code is None:
            return str(self.status)
        return f"{self.status} {self.code}: {self.message}"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal=None, action="sts:AssumeRole", effect="Allow", condition=None):
    """A statement of a trust policy."""
    if principal is None:
        principal = {"AWS": CALLER}
    statement = {"Effect": effect, "Principal": principal, "Action": action}
    if condition is not None:
        statement["Condition"] = condition
    return statement


class World:
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.numbers = itertools.count(1)
        self.clients = {}
        self.http = urllib3.PoolManager()
        self.roots = {
            account: Keys({"AccessKeyId": account, "SecretAccessKey": "test"})
            for account in (CALLER, TARGET, OTHER)
        }
        # A user who may do everything, and a user without permissions.
        self.admin = self.user(ALLOW_ALL)
        self.nobody = self.user()

    def client(self, service, keys, region="eu-west-1"):
        key = service, keys.id, keys.secret, keys.token, region
        if key not in self.clients:
            self.clients[key] = boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=region,
                aws_access_key_id=keys.id,
                aws_secret_access_key=keys.secret,
                aws_session_token=keys.token,
                config=CONFIG,
            )
        return self.clients[key]

    def unsigned(self, service):
        """Returns a client that does not sign its requests."""
        config = CONFIG.merge(botocore.config.Config(signature_version=botocore.UNSIGNED))
        return boto3.client(service, endpoint_url=self.endpoint, region_name="eu-west-1", config=config)

    def iam(self, account=CALLER):
        return self.client("iam", self.roots[account])

    def name(self, kind):
        return f"{kind}{next(self.numbers)}"

    def user(self, *statements, account=CALLER, **options):
        """Creates a user with an access key; the keys know the user's name and ARN."""
        iam, name = self.iam(account), self.name("user")
        created = iam.create_user(UserName=name, **options)["User"]
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))
        keys = Keys(iam.create_access_key(UserName=name)["AccessKey"])
        keys.name, keys.arn, keys.user_id = name, created["Arn"], created["UserId"]
        return keys

    def role(self, *trusted, allow=(), account=TARGET, name=None, **options):
        """Creates a role with these statements in its trust policy; returns its ARN."""
        iam, name = self.iam(account), name or self.name("role")
        trusted = trusted or (trust(action=["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]),)
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(*trusted), **options)
        if allow:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy(*allow))
        return role["Role"]["Arn"]

    def answer(self, call, **arguments):
        try:
            value = call(**arguments)
        except botocore.exceptions.ClientError as error:
            response = error.response
            return Answer(
                response["ResponseMetadata"]["HTTPStatusCode"],
                response["Error"].get("Code"),
                response["Error"].get("Message"),
            )
        keys = Keys(value["Credentials"]) if "Credentials" in value else None
        return Answer(200, value=value, keys=keys)

    def sts(self, operation, keys=None, **arguments):
        return self.answer(getattr(self.client("sts", keys or self.admin), operation), **arguments)

    def assume(self, role, keys=None, **arguments):
        arguments.setdefault("RoleSessionName", "session")
        return self.sts("assume_role", keys, RoleArn=role, **arguments)

    def session(self, role, keys=None, **arguments):
        """Assumes a role that must be assumable; returns the keys."""
        answer = self.assume(role, keys, **arguments)
        assert answer.keys, f"setting up: {answer!r}"
        return answer.keys

    def chain(self, first=(), second=(), allow=(ASSUME,), **arguments):
        """Assumes a role, and returns its session and the ARN of a role that trusts it."""
        middle = self.role(*first, allow=allow, account=CALLER)
        session = self.session(middle, **arguments)
        return session, self.role(*second)

    def mfa_device(self, user):
        """Enables a device for a user; returns its serial number and seed."""
        iam = self.iam()
        device = iam.create_virtual_mfa_device(VirtualMFADeviceName=self.name("mfa"))["VirtualMFADevice"]
        serial, seed = device["SerialNumber"], device["Base32StringSeed"].decode()
        # Uses earlier codes, so that the current code remains unused.
        codes = [code(seed, -2), code(seed, -1)]
        iam.enable_mfa_device(
            UserName=user.name, SerialNumber=serial, AuthenticationCode1=codes[0], AuthenticationCode2=codes[1]
        )
        return serial, seed

    def raw(self, parameters, keys=None, method="POST", headers=None, service="sts", region="eu-west-1",
            time=None, body=None, tamper=None, presigned=False):
        """Sends a request that boto3 would not send."""
        headers = dict(headers or {})
        encoded = parameters if isinstance(parameters, str) else urllib.parse.urlencode(parameters)
        url = self.endpoint + "/"
        if method == "GET":
            url += "?" + encoded
            data = b""
        else:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
            data = encoded.encode() if body is None else body
        request = botocore.awsrequest.AWSRequest(method=method, url=url, data=data, headers=headers)
        if keys is not False:
            keys = keys or self.admin
            credentials = botocore.credentials.Credentials(keys.id, keys.secret, keys.token)
            signer = botocore.auth.SigV4QueryAuth if presigned else botocore.auth.SigV4Auth
            real = botocore.auth.get_current_datetime
            if time is not None:
                botocore.auth.get_current_datetime = lambda **_: real(**_) + datetime.timedelta(seconds=time)
            try:
                signer(credentials, service, region).add_auth(request)
            finally:
                botocore.auth.get_current_datetime = real
        prepared = request.prepare()
        data = prepared.body
        if tamper:
            data = tamper(data)
        response = self.http.request(
            method, prepared.url, body=data, headers=dict(prepared.headers), redirect=False, retries=False
        )
        text = response.data.decode(errors="replace")
        code_ = message = None
        if response.status >= 300 or "<Error" in text:
            code_ = between(text, "<Code>", "</Code>")
            message = between(text, "<Message>", "</Message>")
        return Answer(response.status, code_, message, value=(response, text))


def between(text, start, end):
    if start not in text:
        return None
    return text.split(start, 1)[1].split(end, 1)[0].replace("&apos;", "'").replace("&#39;", "'")


def code(seed, steps=0):
    """Returns the code of a device at the current time plus a number of 30-second steps."""
    counter = int(datetime.datetime.now().timestamp()) // 30 + steps
    digest = hmac.new(base64.b32decode(seed), struct.pack(">Q", counter), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"
