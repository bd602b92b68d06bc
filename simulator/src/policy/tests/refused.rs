//! Policies that are rejected, by IAM or because the simulator does not know something in them, and the reasons.

use super::*;

fn refused(kind: PolicyKind, json: &str) -> String {
    match read(kind, json) {
        Ok(_) => panic!("accepted as {kind}: {json}"),
        Err(error) => error,
    }
}

#[test]
fn a_malformed_policy_is_refused_with_the_reason() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for (json, reason) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("{}{}", "trailing"),
        (&*deep, "recursion limit"),
        (
            "AWSTemplateFormatVersion: 2010-09-09\nResources: {}",
            "expected value at line 1 column 1; it is not JSON: convert YAML to JSON first",
        ),
        ("---\nVersion: 2012-10-17", "convert YAML to JSON first"),
        ("[]", "the policy must be an object"),
        ("null", "the policy must be an object"),
        ("{}", "Statement is missing"),
        (r#"{"Statement": []}"#, "Statement is empty"),
        (r#"{"Statement": "x"}"#, "statement 1: it must be an object"),
        (
            r#"{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, 1]}"#,
            "statement 2: it must be an object",
        ),
        (
            r#"{"Version": "2012-10-18", "Statement": []}"#,
            "Version must be",
        ),
        (r#"{"Version": 2012, "Statement": []}"#, "Version must be"),
        (
            r#"{"Comment": "", "Statement": []}"#,
            r#"unknown element "Comment""#,
        ),
        // serde_json would keep the second `Effect` and drop the first, which denies.
        (
            r#"{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
            r#"element "Effect" is given twice"#,
        ),
        (
            r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Null": {"aws:username": "true"}, "Null": {}}}}"#,
            r#"element "Null" is given twice"#,
        ),
    ] {
        let error = refused(PolicyKind::Identity, json);
        assert!(
            error.starts_with("Syntax errors in policy. ("),
            "{json}: {error}"
        );
        assert!(error.contains(reason), "{json}: {error}");
    }
}

#[test]
fn a_malformed_statement_is_refused_with_the_reason() {
    let many = r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Sid": "A"}"#;
    let two = format!("[{many}, {many}]");
    for (statement, reason) in [
        (
            &*two,
            r#"Statement IDs (SID) in a single policy must be unique. ("A" is given twice)"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Prinzipal": 1}"#,
            r#"unknown element "Prinzipal""#,
        ),
        (
            r#"{"Sid": "a b", "Effect": "Allow", "Action": "*", "Resource": "*"}"#,
            "Statement IDs (SID) must be alpha-numeric.",
        ),
        (
            r#"{"Sid": 1, "Effect": "Allow", "Action": "*", "Resource": "*"}"#,
            "Sid must be a string",
        ),
        (
            r#"{"Effect": "allow", "Action": "*", "Resource": "*"}"#,
            "Effect must be",
        ),
        (r#"{"Action": "*", "Resource": "*"}"#, "Effect must be"),
        (
            r#"{"Effect": "Allow", "Resource": "*"}"#,
            "Policy statement must contain actions.",
        ),
        (
            r#"{"Effect": "Allow", "Action": [], "Resource": "*"}"#,
            "Policy statement must contain actions.",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}"#,
            "both Action and NotAction",
        ),
        (
            r#"{"Effect": "Allow", "Action": {}, "Resource": "*"}"#,
            "Action: expected a string, found an object",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": {"Fn::Sub": "arn:aws:s3:::${AWS::AccountId}"}}"#,
            r#"Resource: replace CloudFormation's "Fn::Sub" with its value first"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": ["*", {"Ref": "Bucket"}]}"#,
            r#"Resource: replace CloudFormation's "Ref" with"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${var.bucket}"}"#,
            r#""var.bucket" is not a condition key. If ${var.bucket} is a reference of Terraform"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${AWS::AccountId}"}"#,
            r#""AWS::AccountId" is not a condition key"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": [["*"]], "Resource": "*"}"#,
            "Action: expected a string, found a list",
        ),
        (
            r#"{"Effect": "Allow", "Action": null, "Resource": "*"}"#,
            "Action: expected a string, found null",
        ),
        (
            r#"{"Effect": "Allow", "Action": "AssumeRole", "Resource": "*"}"#,
            r#"Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. ("AssumeRole")"#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "sts:a:b", "Resource": "*"}"#,
            "Actions/Condition can contain only one colon.",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*:Get", "Resource": "*"}"#,
            "Vendor * is not valid",
        ),
        (
            r#"{"Effect": "Allow", "Action": ":Get", "Resource": "*"}"#,
            "Vendor  is not valid",
        ),
        (
            r#"{"Effect": "Allow", "Action": "s3:", "Resource": "*"}"#,
            "Action s3: is not valid",
        ),
        (
            r#"{"Effect": "Allow", "Action": "s3:Get Object", "Resource": "*"}"#,
            "is not valid",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*"}"#,
            "Policy statement must contain resources.",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": []}"#,
            "Policy statement must contain resources.",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "bucket"}"#,
            r#"Resource bucket must be in ARN format or "*"."#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${aws:username"}"#,
            r#""${" without "}""#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${aws:name}"}"#,
            r#"does not know the condition key "aws:name""#,
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}"#,
            "Policy document should not specify a principal.",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "NotPrincipal": "*"}"#,
            "Policy document should not specify a principal.",
        ),
        (
            r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": []}"#,
            "Condition must be an object",
        ),
    ] {
        let json = format!(r#"{{"Version": "2012-10-17", "Statement": {statement}}}"#);
        let error = refused(PolicyKind::Identity, &json);
        assert!(error.contains(reason), "{json}: {error}");
    }
}

#[test]
fn a_condition_that_could_only_be_false_is_refused_by_name() {
    for (condition, reason) in [
        (
            r#"{"StringIs": {"aws:username": "a"}}"#,
            r#"unknown condition operator "StringIs""#,
        ),
        (
            r#"{"StringIs": {}}"#,
            r#"unknown condition operator "StringIs""#,
        ),
        (
            r#"{"stringequals": {"aws:username": "a"}}"#,
            r#"unknown condition operator "stringequals""#,
        ),
        (
            r#"{"NullIfExists": {"aws:username": "true"}}"#,
            r#"unknown condition operator "NullIfExists""#,
        ),
        (
            r#"{"ForAllValues:Null": {"aws:TagKeys": "true"}}"#,
            r#"unknown condition operator "ForAllValues:Null""#,
        ),
        (
            r#"{"ForEveryValue:StringEquals": {"aws:TagKeys": "a"}}"#,
            "unknown condition operator",
        ),
        (
            r#"{"StringEqualsIfExistsIfExists": {"aws:username": "a"}}"#,
            "unknown condition operator",
        ),
        (
            r#"{"BinaryNotEquals": {"aws:username": "AA=="}}"#,
            "unknown condition operator",
        ),
        (
            r#"{"NumericNotLessThan": {"aws:EpochTime": "1"}}"#,
            "unknown condition operator",
        ),
        (
            r#"{"IpAddressNot": {"aws:SourceIp": "::/0"}}"#,
            "unknown condition operator",
        ),
        (r#"{"StringEquals": "a"}"#, "StringEquals must be an object"),
        (
            r#"{"StringEquals": {"aws:username": []}}"#,
            "StringEquals aws:username has no values",
        ),
        (
            r#"{"StringEquals": {"aws:username": {}}}"#,
            "expected a string, found an object",
        ),
        (
            r#"{"StringEquals": {"aws:user": "a"}}"#,
            r#"does not know the condition key "aws:user""#,
        ),
        (
            r#"{"Null": {"sts:ExternId": "true"}}"#,
            r#"does not know the condition key "sts:ExternId""#,
        ),
        (
            r#"{"StringEqualsIfExists": {"s3:prefx": "a"}}"#,
            r#"does not know the condition key "s3:prefx""#,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:name}"}}"#,
            r#"does not know the condition key "aws:name""#,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:${aws:username}}"}}"#,
            "does not know the condition key",
        ),
        (
            r#"{"StringEquals": {"aws:username": "${}"}}"#,
            r#"does not know the condition key """#,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:username"}}"#,
            r#""${" without "}""#,
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:username, x}"}}"#,
            "whose default is not in single quotes",
        ),
        (
            r#"{"StringEquals": {"aws:username": "${aws:username, '}"}}"#,
            "whose default is not in single quotes",
        ),
        (
            r#"{"StringEquals": {"aws:TagKeys": "Team"}}"#,
            "aws:TagKeys is multivalued: use ForAllValues:StringEquals or ForAnyValue:StringEquals",
        ),
        (
            r#"{"Bool": {"aws:SecureTransport": "yes"}}"#,
            r#"Bool aws:SecureTransport: "yes" must be true or false"#,
        ),
        (
            r#"{"Null": {"aws:username": "null"}}"#,
            r#""null" must be true or false"#,
        ),
        (
            r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": "1h"}}"#,
            r#""1h" must be a number"#,
        ),
        (
            r#"{"NumericLessThan": {"aws:MultiFactorAuthAge": "${aws:EpochTime}"}}"#,
            "must be a number",
        ),
        (
            r#"{"DateLessThan": {"aws:CurrentTime": "tomorrow"}}"#,
            r#""tomorrow" must be a date"#,
        ),
        (
            r#"{"DateLessThan": {"aws:CurrentTime": "2026"}}"#,
            r#""2026" must be a date"#,
        ),
        (
            r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}}"#,
            r#""10.0.0.0/33" must be an IP address"#,
        ),
        (
            r#"{"ArnLike": {"aws:PrincipalArn": "*"}}"#,
            r#""*" must have the six parts of an ARN"#,
        ),
        (
            r#"{"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::role/x"}}"#,
            "must have the six parts of an ARN",
        ),
        (
            r#"{"BinaryEquals": {"aws:username": "!"}}"#,
            r#""!" must be base64"#,
        ),
    ] {
        let json = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Deny", "Action": "*", "Resource": "*",
                "Condition": {condition}}}}}"#
        );
        let error = refused(PolicyKind::Identity, &json);
        assert!(error.contains(reason), "{condition}: {error}");
    }
    // External IDs are secret.
    let json = r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"NumericEquals": {"sts:ExternalId": "c0ffee"}}}}"#;
    let error = refused(PolicyKind::Identity, json);
    assert!(
        error.contains("NumericEquals sts:ExternalId: a value must be a number"),
        "{error}"
    );
    assert!(!error.contains("c0ffee"), "{error}");
    let json = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"StringEquals": {"sts:ExternalId": "c0ffee${"}}}}"#;
    let error = refused(PolicyKind::Identity, json);
    assert!(error.contains(r#"a value has "${" without "}""#), "{error}");
    assert!(!error.contains("c0ffee"), "{error}");
}

#[test]
fn a_trust_policy_is_refused_for_what_only_trust_policies_must_not_have() {
    let ok = r#""Effect": "Allow", "Principal": {"AWS": "111111111111"}"#;
    for (statement, reason) in [
        (format!(r#"{ok}, "Action": "*""#), r#"AssumeRole policy may only specify STS AssumeRole actions. ("*")"#),
        (format!(r#"{ok}, "Action": ["sts:AssumeRole", "s3:GetObject"]"#), "AssumeRole policy may only specify STS AssumeRole actions."),
        (format!(r#"{ok}, "Action": "s*:AssumeRole""#), "AssumeRole policy may only specify STS AssumeRole actions."),
        (format!(r#"{ok}, "Action": "sts:AssumeRole", "Resource": "*""#), "Has prohibited field Resource"),
        (format!(r#"{ok}, "Action": "sts:AssumeRole", "NotResource": "*""#), "Has prohibited field Resource"),
        (r#""Effect": "Allow", "Action": "sts:AssumeRole""#.to_owned(), "Missing required field Principal"),
        (r#""Effect": "Deny", "Action": "sts:AssumeRole", "NotPrincipal": {"AWS": "111111111111"}"#.to_owned(), "Has prohibited field NotPrincipal"),
    ] {
        let json = format!(r#"{{"Version": "2012-10-17", "Statement": {{{statement}}}}}"#);
        let error = refused(PolicyKind::Trust, &json);
        assert!(error.contains(reason), "{json}: {error}");
    }
}

#[test]
fn a_principal_is_an_account_a_user_a_role_a_session_or_everybody() {
    let trust = |principal: &str| {
        let json = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {principal}}}}}"#
        );
        read(PolicyKind::Trust, &json).map(drop)
    };
    for right in [
        r#"{"AWS": "111111111111"}"#,
        r#"{"AWS": "*"}"#,
        r#"{"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:user/path/ada"]}"#,
        r#"{"AWS": "arn:aws:sts::111111111111:assumed-role/x/y", "Service": "ec2.amazonaws.com"}"#,
        r#"{"Federated": "arn:aws:iam::111111111111:saml-provider/x"}"#,
        r#"{"Federated": ["arn:aws:iam::111111111111:oidc-provider/x.com/y", "accounts.google.com"]}"#,
    ] {
        assert_eq!(trust(right), Ok(()), "{right}");
    }
    for (wrong, reason) in [
        (
            r#""*""#,
            r#"AssumeRolepolicy contained an invalid principal: "STAR":"*"."#,
        ),
        (r#""111111111111""#, "Principal must be an object"),
        ("[]", "Principal must be an object"),
        ("{}", "Missing required field Principal cannot be empty!"),
        (
            r#"{"AWS": []}"#,
            "Missing required field Principal cannot be empty!",
        ),
        (r#"{"aws": "*"}"#, r#"unknown element "aws""#),
        (
            r#"{"AWS": "me"}"#,
            r#"Invalid principal in policy: "AWS":"me""#,
        ),
        (
            r#"{"AWS": "arn:aws:iam::111111111111:role/nobody"}"#,
            r#"Invalid principal in policy: "AWS":"arn:aws:iam::111111111111:role/nobody""#,
        ),
        (
            r#"{"AWS": "arn:aws:iam::111111111111:role/*"}"#,
            "Invalid principal",
        ),
        (r#"{"AWS": "arn:aws:iam::11:role/x"}"#, "Invalid principal"),
        (
            r#"{"AWS": "arn:aws:sts::111111111111:assumed-role/x/*"}"#,
            "Invalid principal",
        ),
        (r#"{"AWS": "arn:aws:s3:::bucket"}"#, "Invalid principal"),
        (
            r#"{"Federated": "*"}"#,
            "Federated principals must be valid domain names or SAML metadata ARNs",
        ),
        (
            r#"{"Federated": "arn:aws:iam::111111111111:role/x"}"#,
            "Federated principals must be valid domain names or SAML metadata ARNs",
        ),
        (
            r#"{"CanonicalUser": "x"}"#,
            r#"Invalid principal in policy: "CanonicalUser":"x""#,
        ),
    ] {
        let error = trust(wrong).unwrap_err();
        assert!(error.contains(reason), "{wrong}: {error}");
    }
}

#[test]
fn a_resource_control_policy_only_denies_and_names_the_service() {
    let read = |version: &str, statement: &str| {
        let json = format!(r#"{{{version}"Statement": {{{statement}}}}}"#);
        super::read(PolicyKind::ResourceControl, &json).map(drop)
    };
    const VERSION: &str = r#""Version": "2012-10-17","#;
    let full = r#""Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*""#;
    assert_eq!(read(VERSION, full), Ok(()));
    let deny =
        r#""Effect": "Deny", "Principal": "*", "Action": ["sts:*", "s3:Get*"], "Resource": "*""#;
    assert_eq!(read(VERSION, deny), Ok(()));
    for (version, statement, reason) in [
        ("", deny, "Version must be"),
        (
            VERSION,
            r#""Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*""#,
            "must have the effect Deny",
        ),
        (
            VERSION,
            r#""Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*""#,
            "must name the service",
        ),
        (
            VERSION,
            r#""Effect": "Deny", "Principal": "*", "NotAction": "s3:*", "Resource": "*""#,
            "must not have NotAction",
        ),
        (
            VERSION,
            r#""Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": "*""#,
            "must be \"*\"",
        ),
        (
            VERSION,
            r#""Effect": "Deny", "NotPrincipal": {"AWS": "*"}, "Action": "s3:*", "Resource": "*""#,
            "must not have NotPrincipal",
        ),
        (
            VERSION,
            r#""Effect": "Deny", "Action": "s3:*", "Resource": "*""#,
            "Missing required field Principal",
        ),
        (
            VERSION,
            r#""Effect": "Deny", "Principal": "*", "Action": "s3:*""#,
            "must contain resources",
        ),
    ] {
        let error = read(version, statement).unwrap_err();
        assert!(error.contains(reason), "{statement}: {error}");
    }
}

#[test]
fn a_policy_of_a_resource_has_not_principal_to_deny_only() {
    let read = |statement: &str| {
        let json = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{{statement}, "Action": "s3:*", "Resource": "*"}}}}"#
        );
        super::read(PolicyKind::Resource, &json)
    };
    assert!(read(r#""Effect": "Deny", "NotPrincipal": {"AWS": "111111111111"}"#).is_ok());
    for (statement, reason) in [
        (
            r#""Effect": "Allow", "NotPrincipal": {"AWS": "111111111111"}"#,
            "NotPrincipal is allowed only with Deny",
        ),
        (
            r#""Effect": "Deny", "Principal": "*", "NotPrincipal": {"AWS": "111111111111"}"#,
            "it has both Principal and NotPrincipal",
        ),
        (r#""Effect": "Deny""#, "Missing required field Principal"),
        (
            r#""Effect": "Deny", "NotPrincipal": {}"#,
            "Missing required field Principal cannot be empty!",
        ),
        (
            r#""Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::111111111111:user/nobody"}"#,
            "Invalid principal in policy",
        ),
    ] {
        let error = read(statement).unwrap_err();
        assert!(error.contains(reason), "{statement}: {error}");
    }
}
