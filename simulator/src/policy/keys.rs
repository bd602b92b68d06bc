//! The condition keys that the simulator knows, and the sources of their values. A policy with any other key is
//! rejected when it is read: a condition on a key that is never set would always be false, or always true.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The source of a condition key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A property of every request that only the simulator sets, such as the time.
    Simulator,
    /// A property of every request's network and client. The simulator sets the keys that AWS always sends; a test may
    /// set any of them.
    Request,
    /// The caller and the caller's session.
    Caller,
    /// The account's place in AWS Organizations.
    Account,
    /// The parameters of an STS operation, or the resource. For other services, the test sets them.
    Operation,
    /// The token or assertion of an identity provider.
    Token,
    /// A key of a single service, which is absent from requests to other services.
    Service,
    /// Only requests by AWS services have it; the simulator never sets it.
    Absent,
}

/// The global keys and those of STS and IAM, in lower case. A name that ends with `/` is a prefix, for example of a tag
/// key.
const KEYS: &[(&str, Source)] = &[
    ("aws:assumedroot", Source::Absent),
    ("aws:calledvia", Source::Request),
    ("aws:calledviafirst", Source::Request),
    ("aws:calledvialast", Source::Request),
    ("aws:chatbotsourcearn", Source::Absent),
    ("aws:currenttime", Source::Simulator),
    ("aws:ec2instancesourceprivateipv4", Source::Absent),
    ("aws:ec2instancesourcevpc", Source::Absent),
    ("aws:epochtime", Source::Simulator),
    ("aws:federatedprovider", Source::Caller),
    ("aws:ismcpserviceaction", Source::Operation),
    ("aws:multifactorauthage", Source::Caller),
    ("aws:multifactorauthpresent", Source::Caller),
    ("aws:principalaccount", Source::Caller),
    ("aws:principalarn", Source::Caller),
    ("aws:principalisawsservice", Source::Simulator),
    ("aws:principalorgid", Source::Account),
    ("aws:principalorgpaths", Source::Account),
    ("aws:principalservicename", Source::Absent),
    ("aws:principalservicenameslist", Source::Absent),
    ("aws:principaltag/", Source::Caller),
    ("aws:principaltype", Source::Caller),
    ("aws:referer", Source::Request),
    ("aws:requestedregion", Source::Simulator),
    ("aws:requesttag/", Source::Operation),
    ("aws:resourceaccount", Source::Operation),
    ("aws:resourceorgid", Source::Account),
    ("aws:resourceorgpaths", Source::Account),
    ("aws:resourcetag/", Source::Operation),
    ("aws:securetransport", Source::Request),
    ("aws:sourceaccount", Source::Absent),
    ("aws:sourcearn", Source::Absent),
    ("aws:sourceidentity", Source::Caller),
    ("aws:sourceip", Source::Request),
    ("aws:sourceorgid", Source::Absent),
    ("aws:sourceorgpaths", Source::Absent),
    ("aws:sourcevpc", Source::Request),
    ("aws:sourcevpcarn", Source::Request),
    ("aws:sourcevpce", Source::Request),
    ("aws:tagkeys", Source::Operation),
    ("aws:tokenissuetime", Source::Caller),
    ("aws:useragent", Source::Request),
    ("aws:userid", Source::Caller),
    ("aws:username", Source::Caller),
    ("aws:viaawsservice", Source::Request),
    ("aws:vpceaccount", Source::Request),
    ("aws:vpceorgid", Source::Request),
    ("aws:vpceorgpaths", Source::Request),
    ("aws:vpcsourceip", Source::Request),
    // Service-specific keys that requests to other services also have if the credentials come from that service.
    ("ec2:roledelivery", Source::Absent),
    ("ec2:sourceinstancearn", Source::Absent),
    ("glue:credentialissuingservice", Source::Absent),
    ("glue:roleassumedby", Source::Absent),
    ("identitystore:userid", Source::Absent),
    ("lambda:sourcefunctionarn", Source::Absent),
    ("ssm:sourceinstancearn", Source::Absent),
    ("iam:resourcetag/", Source::Operation),
    ("sts:awsservicename", Source::Operation),
    ("sts:durationseconds", Source::Operation),
    ("sts:externalid", Source::Operation),
    ("sts:identitytokenaudience", Source::Operation),
    ("sts:requestcontextproviders", Source::Operation),
    ("sts:rolesessionname", Source::Operation),
    ("sts:signingalgorithm", Source::Operation),
    ("sts:sourceidentity", Source::Operation),
    ("sts:taskpolicyarn", Source::Operation),
    ("sts:transitivetagkeys", Source::Operation),
];

/// The keys of a SAML assertion that the simulator sets; AWS has more, for eduPerson and eduOrg attributes.
const SAML: &[&str] = &["aud", "doc", "iss", "namequalifier", "sub", "sub_type"];

/// The claims of an OpenID Connect token that are condition keys, `<issuer>:<claim>`.
pub(crate) const CLAIMS: &[&str] = &["amr", "aud", "azp", "email", "sub"];

/// Additional claims of issuers that AWS knows.
pub(crate) fn claims_of(issuer: &str) -> &'static [&'static str] {
    match issuer {
        "token.actions.githubusercontent.com" => &[
            "actor",
            "actor_id",
            "enterprise_id",
            "environment",
            "job_workflow_ref",
            "ref",
            "repository",
            "repository_id",
            "workflow",
        ],
        "accounts.google.com" => &["oaud"],
        "www.amazon.com" => &["app_id", "user_id"],
        "graph.facebook.com" => &["app_id", "id"],
        _ => &[],
    }
}

/// The keys of AWS's services, by prefix, in lower case.
static SERVICES: LazyLock<HashMap<&'static str, HashSet<String>>> = LazyLock::new(|| {
    let lines = include_str!("service_keys.txt").lines();
    let lines = lines.filter_map(|line| line.split_once(": "));
    lines
        .filter(|(service, _)| !service.starts_with('#'))
        .map(|(service, keys)| {
            let keys = keys.split(' ').map(str::to_ascii_lowercase);
            (service, keys.collect())
        })
        .collect()
});

/// Returns the source of a key's value; `None` if the simulator does not know the key. Keys are case-insensitive.
pub(crate) fn source(key: &str) -> Option<Source> {
    let key = key.to_ascii_lowercase();
    let is_named = |name: &str| match name.strip_suffix('/') {
        Some(_) => key.len() > name.len() && key.starts_with(name),
        None => key == name,
    };
    if let Some((_, source)) = KEYS.iter().find(|(name, _)| is_named(name)) {
        return Some(*source);
    }
    // The issuer in an OpenID Connect key may contain a port.
    let (prefix, name) = key.rsplit_once(':')?;
    if prefix == "saml" {
        return SAML.contains(&name).then_some(Source::Token);
    }
    if prefix.contains('.') {
        let is_claim = CLAIMS.contains(&name) || claims_of(prefix).contains(&name);
        return is_claim.then_some(Source::Token);
    }
    let (service, name) = key.split_once(':')?;
    let keys = SERVICES.get(service)?;
    let is_known = keys.contains(name)
        || keys.iter().any(|known| {
            let prefix = known.strip_suffix('*');
            prefix.is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
        });
    is_known.then_some(Source::Service)
}

/// Whether a key is multivalued. Such keys are allowed only with `ForAllValues` and `ForAnyValue`: AWS does not
/// document how other operators treat several values.
pub(crate) fn is_multivalued(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "aws:calledvia",
        "aws:principalorgpaths",
        "aws:principalservicenameslist",
        "aws:resourceorgpaths",
        "aws:sourceorgpaths",
        "aws:tagkeys",
        "aws:vpceorgpaths",
        "sts:identitytokenaudience",
        "sts:requestcontextproviders",
        "sts:transitivetagkeys",
    ];
    KEYS.contains(&&*key.to_ascii_lowercase())
}

/// Whether the values of a key are secret.
pub(crate) fn is_secret(key: &str) -> bool {
    key.eq_ignore_ascii_case("sts:ExternalId")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_whole_name_whatever_its_case() {
        for (key, expected) in [
            ("aws:SourceIp", Some(Source::Request)),
            ("AWS:sourceip", Some(Source::Request)),
            ("aws:SourceIpx", None),
            ("aws:PrincipalTag/Team", Some(Source::Caller)),
            ("aws:PrincipalTag/a/b:c", Some(Source::Caller)),
            ("aws:PrincipalTag/", None),
            ("aws:PrincipalTag", None),
            ("sts:ExternalID", Some(Source::Operation)),
            ("sts:ExternId", None),
            // Only AWS can read the context assertion from which its value comes.
            ("sts:RequestContext/identitystore:UserId", None),
            ("saml:aud", Some(Source::Token)),
            ("SAML:sub_type", Some(Source::Token)),
            ("saml:audience", None),
            (
                "oidc.eks.eu-west-1.amazonaws.com/id/ABCD:sub",
                Some(Source::Token),
            ),
            ("login.example.com:8443/realm:aud", Some(Source::Token)),
            (
                "token.actions.githubusercontent.com:repository",
                Some(Source::Token),
            ),
            ("login.example.com:repository", None),
            ("s3:prefix", Some(Source::Service)),
            ("s3:prefx", None),
            (
                "secretsmanager:ResourceTag/aws:secretsmanager:owningService",
                Some(Source::Service),
            ),
            ("s3:ExistingObjectTag/Team", Some(Source::Service)),
            ("kms:EncryptionContext:AppName", Some(Source::Service)),
            ("kms:EncryptionContext:", None),
            ("s4:prefix", None),
            ("absent", None),
            ("", None),
            (":", None),
        ] {
            assert_eq!(source(key), expected, "{key}");
        }
    }
}
