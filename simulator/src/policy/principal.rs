//! The `Principal` element of a statement, and the callers that it may name.

use serde_json::Value;

use super::explanation::Element;
use super::explanation::PolicyKind as Kind;
use super::json::{reject_unknown, strings};
use crate::arn;

/// A principal in a policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Principal {
    /// `*`.
    Any,
    /// An account, whose own policies then decide.
    Account(String),
    /// A user or role, by its unique ID when the policy was saved.
    Id(String),
    /// A role session or a federated user, by ARN.
    Session(String),
    /// An identity provider.
    Federated(String),
    /// An AWS service, or anything else that cannot be a caller here.
    Other,
}

/// Returns the unique ID of the user or role with an ARN; `None` if it does not exist.
pub(crate) type Resolve<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) enum Requester {
    /// A user, with long-term keys or a session.
    User { id: String, account: String },
    /// The root user of an account.
    Root { account: String },
    RoleSession {
        arn: String,
        role_id: String,
        account: String,
    },
    /// A federated user: a session from GetFederationToken, issued to a user or the root user.
    FederatedUser {
        arn: String,
        /// The unique ID of the user who called GetFederationToken.
        user_id: String,
        account: String,
        is_of_root: bool,
    },
    /// A user of an identity provider, who belongs to no account.
    Federated { provider: String },
}

/// How a resource policy names the caller, which matters within the caller's account. A later variant takes precedence
/// over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grant {
    /// Names the account, whose own policies then decide.
    Account,
    /// Names the principal that the session was issued to (a role, or the user who called GetFederationToken). Boundary
    /// and session policies still limit the session.
    SessionIssuer,
    /// Names the user, the session or everybody, which is sufficient.
    Direct,
}

impl Requester {
    /// Whether the caller is the root user of an account or a federated user of the root user, who needs no policy that
    /// allows.
    pub(super) fn is_root(&self) -> bool {
        matches!(
            self,
            Self::Root { .. }
                | Self::FederatedUser {
                    is_of_root: true,
                    ..
                }
        )
    }

    /// Returns how a principal in a policy names the requester; `None` if it does not.
    pub(super) fn grant(&self, principal: &Principal) -> Option<Grant> {
        use Principal::*;
        match (self, principal) {
            (_, Any) => Some(Grant::Direct),
            (Self::User { id, .. }, Id(named)) if id == named => Some(Grant::Direct),
            (
                Self::RoleSession { role_id: id, .. } | Self::FederatedUser { user_id: id, .. },
                Id(named),
            ) if id == named => Some(Grant::SessionIssuer),
            (Self::RoleSession { arn, .. } | Self::FederatedUser { arn, .. }, Session(named))
                if arn == named =>
            {
                Some(Grant::Direct)
            }
            (
                Self::User { account, .. }
                | Self::Root { account }
                | Self::RoleSession { account, .. }
                | Self::FederatedUser { account, .. },
                Account(named),
            ) if account == named => Some(Grant::Account),
            (Self::Federated { provider }, Federated(named))
                if provider == named || is_provider_of_aws(provider, named) =>
            {
                Some(Grant::Direct)
            }
            _ => None,
        }
    }

    /// Whether `NotPrincipal` with these names excepts the requester. AWS may check the account first, then the role or
    /// the user who called GetFederationToken, then the session. A policy must not depend on that, so all of them must
    /// be named.
    pub(super) fn is_excepted(&self, named: &[Principal]) -> bool {
        use Principal::*;
        let all = match self {
            Self::User { id, account } => vec![Account(account.clone()), Id(id.clone())],
            Self::Root { account } => vec![Account(account.clone())],
            Self::RoleSession {
                arn,
                role_id: issuer,
                account,
            }
            | Self::FederatedUser {
                arn,
                user_id: issuer,
                account,
                ..
            } => vec![
                Account(account.clone()),
                Id(issuer.clone()),
                Session(arn.clone()),
            ],
            Self::Federated { provider } => vec![Federated(provider.clone())],
        };
        named.contains(&Any) || all.iter().all(|principal| named.contains(principal))
    }
}

/// Reads a `Principal` or `NotPrincipal` element.
pub(super) fn read(
    kind: Kind,
    value: &Value,
    resolve: Resolve<'_>,
) -> Result<Vec<Principal>, String> {
    match (kind, value == "*") {
        (Kind::ResourceControl | Kind::Resource, true) => return Ok(vec![Principal::Any]),
        (Kind::ResourceControl, false) => {
            return Err("the Principal of a resource control policy must be \"*\"".to_owned());
        }
        (Kind::Trust, true) => {
            return Err(
                "AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\". (Write {\"AWS\": \"*\"}.)"
                    .to_owned(),
            );
        }
        _ => {}
    }
    let kinds = value
        .as_object()
        .ok_or("Principal must be an object such as {\"AWS\": \"111111111111\"}")?;
    reject_unknown(kinds, &["AWS", "Federated", "Service", "CanonicalUser"])?;
    let mut principals = Vec::new();
    for (kind_of_name, names) in kinds {
        let names = strings(names).map_err(|error| format!("Principal {kind_of_name}: {error}"))?;
        for name in names {
            principals.push(match kind_of_name.as_str() {
                "AWS" => read_aws(&name, resolve)?,
                "Federated" if is_provider(&name) => Principal::Federated(name),
                "Federated" => {
                    return Err(format!(
                        "Federated principals must be valid domain names or SAML metadata ARNs ({name:?})"
                    ));
                }
                "CanonicalUser" if kind == Kind::Trust => {
                    return Err(invalid("CanonicalUser", &name));
                }
                _ => Principal::Other,
            });
        }
    }
    if principals.is_empty() {
        return Err("Missing required field Principal cannot be empty!".to_owned());
    }
    Ok(principals)
}

/// Returns the names in a `Principal` element, for explanations.
pub(super) fn element(name: &'static str, value: &Value) -> Element {
    let of_kind = |(kind, names): (&String, &Value)| {
        let names = strings(names).unwrap_or_default().into_iter();
        let kind = (kind != "AWS").then(|| kind.clone());
        names.map(move |name| match &kind {
            Some(kind) => format!("{kind} {name}"),
            None => name,
        })
    };
    let values = match value.as_object() {
        Some(kinds) => kinds.iter().flat_map(of_kind).collect(),
        None => strings(value).unwrap_or_default(),
    };
    Element { name, values }
}

fn read_aws(name: &str, resolve: Resolve<'_>) -> Result<Principal, String> {
    if name == "*" {
        return Ok(Principal::Any);
    }
    if arn::is_account_id(name) {
        return Ok(Principal::Account(name.to_owned()));
    }
    let invalid = || invalid("AWS", name);
    let Some(["arn", _, service, "", account, resource]) = arn::split(name) else {
        // IAM replaces a deleted user or role by its unique ID.
        return resolve(name).map(Principal::Id).ok_or_else(invalid);
    };
    if !arn::is_account_id(account) || name.contains(['*', '?']) {
        return Err(invalid());
    }
    match (service, resource) {
        ("iam", "root") => Ok(Principal::Account(account.to_owned())),
        ("iam", _) => resolve(name).map(Principal::Id).ok_or_else(invalid),
        ("sts", _)
            if resource.starts_with("assumed-role/") || resource.starts_with("federated-user/") =>
        {
            Ok(Principal::Session(name.to_owned()))
        }
        _ => Err(invalid()),
    }
}

/// Whether `domain` is that of a provider that AWS knows in every account, and `arn` is the provider with which the
/// test supplies the keys for it.
fn is_provider_of_aws(arn: &str, domain: &str) -> bool {
    const DOMAINS: [&str; 4] = [
        "accounts.google.com",
        "cognito-identity.amazonaws.com",
        "graph.facebook.com",
        "www.amazon.com",
    ];
    let host = arn.split_once(":oidc-provider/").map(|(_, host)| host);
    DOMAINS.contains(&domain) && host == Some(domain)
}

/// Whether a name is the ARN of an identity provider, or the domain of one that AWS knows in every account, such as
/// `accounts.google.com`.
fn is_provider(name: &str) -> bool {
    match arn::split(name) {
        Some(["arn", _, "iam", "", account, resource]) => {
            let is_kind = ["saml-provider/", "oidc-provider/"].iter().any(|kind| {
                resource
                    .strip_prefix(kind)
                    .is_some_and(|name| !name.is_empty())
            });
            arn::is_account_id(account) && is_kind && !name.contains(['*', '?'])
        }
        _ => {
            let is_part = |c: u8| c.is_ascii_alphanumeric() || b".-".contains(&c);
            name.contains('.') && name.bytes().all(is_part)
        }
    }
}

fn invalid(kind: &str, name: &str) -> String {
    format!("Invalid principal in policy: \"{kind}\":\"{name}\"")
}
