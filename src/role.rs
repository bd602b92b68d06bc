//! [`Role`]: what to ask STS for, and the one step that checks it against STS's rules.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_json::deserialize::{Token, json_token_iter};
use aws_types::region::Region;

use crate::allowed::AllowedRoles;
use crate::error::{Error, Kind};
use crate::mfa::{Mfa, ProvideMfaCode};

/// The longest session a chained role can have: one hour
/// ([role chaining](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining)).
pub(crate) const CHAINED_LIMIT: Duration = Duration::from_secs(3600);

/// A role to assume, and what to ask for when assuming it: the parameters of
/// [AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
///
/// Setters only store. Everything is checked once, before any call, when the role is added to a
/// chain by [`RoleChain::new`](crate::RoleChain::new) or [`assume`](crate::RoleChain::assume).
///
/// ```
/// use std::time::Duration;
/// use aws_role_chain::Role;
///
/// let role = Role::new("arn:aws:iam::222222222222:role/FirehoseWriter")
///     .session_name("orders")
///     .external_id("c0ffee")
///     .duration(Duration::from_secs(900))
///     .tag("team", "payments");
/// ```
///
/// A role that a web identity assumes takes fewer of them; see
/// [`RoleChain::from_web_identity`](crate::RoleChain::from_web_identity).
#[derive(Clone)]
#[must_use = "a role does nothing until a chain assumes it"]
pub struct Role {
    arn: String,
    session_name: Option<String>,
    external_id: Option<String>,
    duration: Option<Duration>,
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<Tag>,
    source_identity: Option<String>,
    provided_contexts: Vec<(String, String)>,
    mfa: Option<Mfa>,
    region: Option<String>,
    allowed: Option<Arc<AllowedRoles>>,
    #[cfg(feature = "cli-cache")]
    cli_cache: Option<Arc<crate::cli_cache::Entry>>,
}

#[derive(Clone)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) transitive: bool,
}

impl Role {
    /// A role by its ARN, `arn:<partition>:iam::<12-digit account>:role/<path><name>`; 20 to 2048
    /// characters. IAM's role names and paths are case-sensitive.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            session_name: None,
            external_id: None,
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            source_identity: None,
            provided_contexts: Vec::new(),
            mfa: None,
            region: None,
            allowed: None,
            #[cfg(feature = "cli-cache")]
            cli_cache: None,
        }
    }

    /// The session's name: the last part of the session's ARN, and what CloudTrail shows. 2 to 64
    /// ASCII letters, digits and `_+=,.@-`. A trust policy may ask for a certain one
    /// (`sts:RoleSessionName`).
    ///
    /// Default: the name of the hop before; on the first hop the program's name and process id,
    /// such as `put_records-4242`: the same at each refresh.
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// The external ID that the role's owner put in its trust policy
    /// ([why](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html)).
    /// 2 to 1224 ASCII letters, digits and `_+=,.@:/-`. Never logged or shown by this crate.
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Sessions are shared with the CLI here.
    #[cfg(feature = "cli-cache")]
    pub(crate) fn with_cli_cache(mut self, entry: crate::cli_cache::Entry) -> Self {
        self.cli_cache = Some(Arc::new(entry));
        self
    }

    /// How long each session lasts: 900 to 43,200 whole seconds, and no more than the role's
    /// `MaxSessionDuration`. From the second hop on at most 3,600 s (role chaining). On the first
    /// hop the same limit holds where the source credentials are a role's themselves; that shows
    /// only when STS says so, and then one hour is asked for instead, with a warning.
    ///
    /// Default: STS's, one hour.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// A session policy: what the session may do is what both it and the role's own policies
    /// allow. A JSON object, at most 2,048 characters together with the
    /// [`policy_arn`](Self::policy_arn)s. STS also packs policies and tags into a budget of their
    /// own, whose size only STS can tell (`PackedPolicyTooLarge`).
    pub fn policy(mut self, json: impl Into<String>) -> Self {
        self.policy = Some(json.into());
        self
    }

    /// Adds a managed policy as a session policy; at most 10. Of the role's own account, or AWS's
    /// (`arn:aws:iam::aws:policy/…`).
    pub fn policy_arn(mut self, arn: impl Into<String>) -> Self {
        self.policy_arns.push(arn.into());
        self
    }

    /// Adds a [session tag](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html).
    /// At most 50; key of 1 to 128 and value of 0 to 256 letters, digits, spaces and `_.:/=+-@`;
    /// no two keys alike but for case; no key that begins with `aws:`. The role's trust policy
    /// must allow `sts:TagSession`.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.push_tag(key.into(), value.into(), false);
        self
    }

    /// Adds a session tag that every later hop inherits and none can change
    /// ([transitive](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining)).
    /// Each later role's trust policy must allow `sts:TagSession` too, even if it is passed no tag.
    pub fn transitive_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.push_tag(key.into(), value.into(), true);
        self
    }

    /// The [source identity](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html):
    /// who is really behind the session, in CloudTrail, for this hop and all later ones. 2 to 256
    /// ASCII letters, digits and `_+=,.@-` (AWS documents 64 in places; longer ones get a warning).
    /// Set once: a later hop may repeat it, not change it. Every trust policy from here on must
    /// allow `sts:SetSourceIdentity`.
    pub fn source_identity(mut self, identity: impl Into<String>) -> Self {
        self.source_identity = Some(identity.into());
        self
    }

    /// Adds a trusted context assertion, such as IAM Identity Center's
    /// ([ProvidedContext](https://docs.aws.amazon.com/STS/latest/APIReference/API_ProvidedContext.html)):
    /// the provider's ARN, and its signed assertion of 4 to 2,048 characters, which is a secret and
    /// never shown. At most 5. The role's trust policy must allow `sts:SetContext`.
    pub fn provided_context(
        mut self,
        provider_arn: impl Into<String>,
        assertion: impl Into<String>,
    ) -> Self {
        self.provided_contexts
            .push((provider_arn.into(), assertion.into()));
        self
    }

    /// The MFA device of the IAM user whose keys the chain starts from, and who gives its codes: for
    /// roles whose trust policy asks for `aws:MultiFactorAuthPresent`.
    ///
    /// `serial` is the ARN of a virtual device (`arn:aws:iam::<account>:mfa/<name>`) or the serial
    /// number of a hardware one, 9 to 256 characters; passkeys and security keys have no codes. On the
    /// first hop only: roles have no devices. The code proves MFA to this role alone; for one
    /// code that serves several, start with
    /// [a session token](crate::RoleChain::from_session_token).
    pub fn mfa(mut self, serial: impl Into<String>, codes: impl ProvideMfaCode + 'static) -> Self {
        self.mfa = Some(Mfa::new(serial.into(), codes));
        self
    }

    #[cfg(feature = "profile")]
    pub(crate) fn with_mfa(mut self, mfa: Mfa) -> Self {
        self.mfa = Some(mfa);
        self
    }

    /// The region of the STS endpoint for this hop. Default: the base config's.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Takes the role only if it is one of these: for an ARN that somebody else gave. Many roles can
    /// share one `Arc<AllowedRoles>`.
    pub fn allowed(mut self, roles: impl Into<Arc<AllowedRoles>>) -> Self {
        self.allowed = Some(roles.into());
        self
    }

    fn push_tag(&mut self, key: String, value: String, transitive: bool) {
        self.tags.push(Tag {
            key,
            value,
            transitive,
        });
    }

    /// What a token's role cannot be asked for, be it a web identity's or (`saml`) a SAML assertion's.
    pub(crate) fn check_for_token(&self, saml: bool) -> Result<(), Error> {
        let given = [
            ("external_id", self.external_id.is_some()),
            ("tag", !self.tags.is_empty()),
            ("source_identity", self.source_identity.is_some()),
            ("provided_context", !self.provided_contexts.is_empty()),
            ("mfa", self.mfa.is_some()),
            ("session_name", saml && self.session_name.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => {
                let rule = match saml {
                    true => {
                        "is nothing that AssumeRoleWithSAML can be asked for: session name, tags and \
                         source identity are attributes of the assertion"
                    }
                    false => {
                        "is nothing that AssumeRoleWithWebIdentity can be asked for: tags and source \
                         identity are claims of the token"
                    }
                };
                Err(Broken::new(field, rule, None).into_error(Some(&self.arn), 1))
            }
            None => Ok(()),
        }
    }

    /// Every rule that can be known before the network; the only place that knows them.
    pub(crate) fn check(self, before: &Before<'_>) -> Result<Request, Error> {
        let role_arn = self.arn.clone();
        self.checked(before)
            .map_err(|broken| broken.into_error(Some(&role_arn), before.hop))
    }

    fn checked(self, before: &Before<'_>) -> Result<Request, Broken> {
        let parts = check_role_arn(&self.arn)?;
        check_reach(&self.arn, &parts, before)?;
        if let Some(allowed) = &self.allowed {
            allowed.check(&self.arn, &parts, self.external_id.is_some())?;
        }
        let account = parts.account.to_owned();
        let session_name = match self.session_name {
            Some(name) => {
                check_chars("session_name", &name, 2..=64, NAME, Show::Value)?;
                name.into()
            }
            None => before.session_name.unwrap_or(default_session_name()).into(),
        };
        if let Some(id) = &self.external_id {
            check_chars("external_id", id, 2..=1224, EXTERNAL_ID, Show::Nothing)?;
        }
        let duration_seconds = self
            .duration
            .map(|duration| check_duration(duration, before))
            .transpose()?;
        check_policies(self.policy.as_deref(), &self.policy_arns, &account)?;
        check_tags(&self.tags, before)?;
        check_source_identity(self.source_identity.as_deref(), before)?;
        check_provided_contexts(&self.provided_contexts)?;
        if let Some(mfa) = &self.mfa {
            check_mfa(mfa)?;
            if before.hop > 1 {
                return Err(Broken::new(
                    "mfa",
                    "is for the first hop only: a device belongs to an IAM user, and this role is \
                     assumed by a session. Give it to the first role, or start the chain with \
                     RoleChain::from_session_token, and give it to that: it proves MFA to every role \
                     behind it",
                    None,
                ));
            }
        }
        #[cfg(feature = "cli-cache")]
        // The CLI knows nothing of these, nor does its key: its session would lack them.
        let cli_cache = self.cli_cache.filter(|_| {
            self.tags.is_empty()
                && self.source_identity.is_none()
                && before.transitive_keys.is_empty()
                && before.source_identity.is_none()
        });
        Ok(Request {
            #[cfg(feature = "cli-cache")]
            cli_cache,
            role_arn: self.arn.into(),
            account: account.into(),
            session_name,
            external_id: self.external_id,
            duration_seconds,
            policy: self.policy,
            policy_arns: self.policy_arns,
            tags: self.tags,
            source_identity: self.source_identity,
            provided_contexts: self.provided_contexts,
            mfa: self.mfa,
            region: self.region.map(check_region).transpose()?,
        })
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags: Vec<&str> = self.tags.iter().map(|tag| tag.key.as_str()).collect();
        f.debug_struct("Role")
            .field("arn", &self.arn)
            .field("session_name", &self.session_name)
            .field(
                "external_id",
                &self.external_id.as_ref().map(|_| "** redacted **"),
            )
            .field("duration", &self.duration)
            .field("policy", &self.policy)
            .field("policy_arns", &self.policy_arns)
            .field("tags", &tags)
            .field("source_identity", &self.source_identity)
            .field("provided_contexts", &self.provided_contexts.len())
            .field("mfa", &self.mfa.as_ref().map(|mfa| &mfa.serial))
            .field("region", &self.region)
            .field("allowed", &self.allowed)
            .finish()
    }
}

/// A [`Role`] that broke no rule.
pub(crate) struct Request {
    pub(crate) role_arn: Arc<str>,
    pub(crate) account: Box<str>,
    pub(crate) session_name: Box<str>,
    pub(crate) external_id: Option<String>,
    pub(crate) duration_seconds: Option<i32>,
    pub(crate) policy: Option<String>,
    pub(crate) policy_arns: Vec<String>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) source_identity: Option<String>,
    pub(crate) provided_contexts: Vec<(String, String)>,
    pub(crate) mfa: Option<Mfa>,
    pub(crate) region: Option<Region>,
    #[cfg(feature = "cli-cache")]
    pub(crate) cli_cache: Option<Arc<crate::cli_cache::Entry>>,
}

/// What a role inherits from the hops before it: the rules that only a chain can know.
pub(crate) struct Before<'a> {
    /// The new role's place in the chain, from 1.
    pub(crate) hop: usize,
    pub(crate) session_name: Option<&'a str>,
    /// Of the role before.
    pub(crate) partition: Option<&'a str>,
    pub(crate) source_identity: Option<&'a str>,
    pub(crate) transitive_keys: Vec<&'a str>,
}

impl Default for Before<'_> {
    /// What the first role inherits: nothing.
    fn default() -> Self {
        Self {
            hop: 1,
            session_name: None,
            partition: None,
            source_identity: None,
            transitive_keys: Vec::new(),
        }
    }
}

/// A rule that a value breaks, before it is known whose.
pub(crate) struct Broken {
    field: &'static str,
    rule: String,
    value: Option<String>,
}

impl Broken {
    pub(crate) fn new(field: &'static str, rule: impl Into<String>, value: Option<&str>) -> Self {
        Self {
            field,
            rule: rule.into(),
            value: value.map(shortened),
        }
    }

    /// A rule for a part of the field.
    fn of(mut self, part: &str) -> Self {
        self.rule = format!("the {part} {}", self.rule);
        self
    }

    pub(crate) fn into_error(self, role_arn: Option<&str>, hop: usize) -> Error {
        let kind = Kind::Invalid {
            field: self.field,
            rule: self.rule,
            value: self.value,
            profile: None,
        };
        Error::new(
            kind,
            role_arn.map(|arn| shortened(arn).escape_debug().to_string().into()),
            hop,
            Vec::new(),
            None,
        )
    }
}

/// A set of ASCII characters as STS's patterns have them, and as people read them.
type Chars = (fn(char) -> bool, &'static str);

pub(crate) const NAME: Chars = (
    |c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c),
    "ASCII letters, digits and _+=,.@-",
);
const EXTERNAL_ID: Chars = (
    |c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c),
    "ASCII letters, digits and _+=,.@:/-",
);
const SERIAL: Chars = (
    |c| c.is_ascii_alphanumeric() || "_+=/:,.@-".contains(c),
    "ASCII letters, digits and _+=/:,.@-",
);
const TAG: Chars = (
    // \p{L}\p{Z}\p{N} and the signs: `char` has no class for exactly these, and the few marks that
    // pass here and not there are STS's to refuse.
    |c| c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c),
    "letters, digits, spaces and _.:/=+-@",
);
const REGION: Chars = (
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "lower-case letters, digits and -",
);

/// Whether an error may repeat the offending value.
#[derive(Clone, Copy, PartialEq)]
enum Show {
    Value,
    Nothing,
}

/// Lengths count Unicode scalars, as STS does.
fn check_chars(
    field: &'static str,
    value: &str,
    length: std::ops::RangeInclusive<usize>,
    (allowed, named): Chars,
    show: Show,
) -> Result<(), Broken> {
    let shown = (show == Show::Value).then_some(value);
    let (least, most) = (length.start(), length.end());
    let chars = value.chars().count();
    if !length.contains(&chars) {
        let rule = format!("must have {least} to {most} characters, not {chars}");
        return Err(Broken::new(field, rule, shown));
    }
    match value.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        Some((at, c)) => {
            let which = match show {
                Show::Value => format!(": {c:?}"),
                Show::Nothing => String::new(),
            };
            let rule = format!(
                "may have only {named} (character {} is another{which})",
                at + 1
            );
            Err(Broken::new(field, rule, shown))
        }
        None => Ok(()),
    }
}

pub(crate) fn check_region(region: String) -> Result<Region, Broken> {
    check_chars("region", &region, 2..=63, REGION, Show::Value)?;
    Ok(Region::new(region))
}

pub(crate) fn check_saml_provider(arn: &str) -> Result<(), Broken> {
    let parts = ArnParts::parse(arn).filter(|_| (20..=2048).contains(&arn.chars().count()));
    let named = parts.is_some_and(|parts| {
        parts.service == "iam"
            && is_account_id(parts.account)
            && parts
                .resource
                .strip_prefix("saml-provider/")
                .is_some_and(|name| !name.is_empty())
    });
    match named {
        true => Ok(()),
        false => Err(Broken::new(
            "principal_arn",
            "must be the SAML provider's ARN, arn:<partition>:iam::<account>:saml-provider/<name>",
            Some(arn),
        )),
    }
}

pub(crate) fn check_mfa(mfa: &Mfa) -> Result<(), Broken> {
    let serial = &mfa.serial;
    check_chars("mfa", serial, 9..=256, SERIAL, Show::Value)?;
    let broken = |rule| Err(Broken::new("mfa", rule, Some(serial)));
    let Some(arn) = ArnParts::parse(serial) else {
        return Ok(());
    };
    if arn.resource.starts_with("u2f/") {
        return broken(
            "must be a device with codes: a passkey or security key cannot be used here",
        );
    }
    if !arn.resource.starts_with("mfa/") {
        return broken(
            "must be the device's serial number or ARN, arn:<partition>:iam::<account>:mfa/<name>",
        );
    }
    Ok(())
}

fn check_provided_contexts(contexts: &[(String, String)]) -> Result<(), Broken> {
    if contexts.len() > 5 {
        let rule = format!("at most 5 context assertions, not {}", contexts.len());
        return Err(Broken::new("provided_context", rule, None));
    }
    for (provider_arn, assertion) in contexts {
        let broken = |rule: &str, shown| Err(Broken::new("provided_context", rule, shown));
        if !(20..=2048).contains(&provider_arn.chars().count())
            || ArnParts::parse(provider_arn).is_none()
        {
            return broken(
                "the provider must be an ARN of 20 to 2048 characters",
                Some(provider_arn),
            );
        }
        if !(4..=2048).contains(&assertion.chars().count()) {
            return broken("the assertion must have 4 to 2048 characters", None);
        }
    }
    Ok(())
}

/// What a role's ARN names.
pub(crate) struct RoleParts<'a> {
    pub(crate) account: &'a str,
    /// With both its slashes; `/` where there is none.
    pub(crate) path: String,
    pub(crate) name: &'a str,
}

fn check_role_arn(arn: &str) -> Result<RoleParts<'_>, Broken> {
    let broken = |rule: &str| Broken::new("arn", rule, Some(arn));
    const SHAPE: &str =
        "must be a role's ARN, arn:<partition>:iam::<12-digit account id>:role/<path><name>";
    let chars = arn.chars().count();
    if !(20..=2048).contains(&chars) {
        let rule = format!("{SHAPE}, of 20 to 2048 characters");
        return Err(broken(&rule));
    }
    let parts = ArnParts::parse(arn).ok_or_else(|| broken(SHAPE))?;
    if parts.service == "sts" && parts.resource.starts_with("assumed-role/") {
        return Err(broken(
            "must be the role's ARN (arn:…:iam::…:role/<path><name>), not that of one of its sessions",
        ));
    }
    let path_and_name = parts
        .resource
        .strip_prefix("role/")
        .filter(|_| parts.service == "iam" && parts.region.is_empty())
        .ok_or_else(|| broken(SHAPE))?;
    if !is_account_id(parts.account) {
        return Err(broken("must name the account by its 12 digits"));
    }
    if path_and_name.starts_with('/') {
        return Err(broken(SHAPE));
    }
    let (path, name) = path_and_name
        .rsplit_once('/')
        .unwrap_or(("", path_and_name));
    if !(1..=64).contains(&name.len()) || !name.chars().all(NAME.0) {
        return Err(broken(
            "must end in a role name of 1 to 64 ASCII letters, digits and _+=,.@-",
        ));
    }
    // IAM counts the slashes around the path; its characters are the printable ASCII ones.
    if path.len() > 510 || !path.chars().all(|c| c.is_ascii_graphic()) {
        return Err(broken(
            "must have a role path of printable ASCII characters, at most 512",
        ));
    }
    let path = match path {
        "" => "/".to_owned(),
        path => format!("/{path}/"),
    };
    Ok(RoleParts {
        account: parts.account,
        path,
        name,
    })
}

pub(crate) struct ArnParts<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) account: &'a str,
    pub(crate) resource: &'a str,
}

impl<'a> ArnParts<'a> {
    /// `arn:<partition>:<service>:<region>:<account>:<resource>`, any partition.
    pub(crate) fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let ("arn", partition) = (parts.next()?, parts.next()?) else {
            return None;
        };
        if !partition.starts_with(|c: char| c.is_ascii_lowercase())
            || !partition.chars().all(REGION.0)
        {
            return None;
        }
        Some(Self {
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }
}

pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn check_duration(duration: Duration, before: &Before<'_>) -> Result<i32, Broken> {
    let seconds = duration.as_secs();
    let shown = format!("{} s", duration.as_secs_f64());
    let broken = |rule: &str| Broken::new("duration", rule, Some(&shown));
    if !(900..=43_200).contains(&seconds) || duration.subsec_nanos() != 0 {
        return Err(broken("must be 900 to 43200 whole seconds"));
    }
    if before.hop > 1 && duration > CHAINED_LIMIT {
        return Err(broken(
            "can be at most 3600 s for a role that another role assumes (role chaining, whatever \
             the role's MaxSessionDuration)",
        ));
    }
    // Bounded just above.
    Ok(seconds as i32)
}

fn check_policies(
    policy: Option<&str>,
    policy_arns: &[String],
    account: &str,
) -> Result<(), Broken> {
    if policy_arns.len() > 10 {
        let rule = format!("at most 10 managed policies, not {}", policy_arns.len());
        return Err(Broken::new("policy_arn", rule, None));
    }
    for arn in policy_arns {
        check_policy_arn(arn, account)?;
    }
    if let Some(policy) = policy {
        let of_stss = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
        if let Some(at) = policy.chars().position(|c| !of_stss(c)) {
            let rule = format!(
                "may have only characters up to U+00FF (character {} is another; write it as \\u….)",
                at + 1
            );
            return Err(Broken::new("policy", rule, Some(policy)));
        }
        check_json_object(policy).map_err(|why| {
            let rule = format!("must be a JSON object: {why}");
            Broken::new(
                "policy",
                rule,
                Some(policy).filter(|policy| !policy.is_empty()),
            )
        })?;
    }
    let plaintext = policy.map_or(0, |policy| policy.chars().count())
        + policy_arns.iter().map(String::len).sum::<usize>();
    if plaintext > 2048 {
        let rule = format!(
            "must have at most 2048 characters together with the policy ARNs, not {plaintext}"
        );
        return Err(Broken::new("policy", rule, None));
    }
    Ok(())
}

/// What no trust policy can allow.
fn check_reach(arn: &str, parts: &RoleParts<'_>, before: &Before<'_>) -> Result<(), Broken> {
    let broken = |rule: &str| Err(Broken::new("arn", rule, Some(arn)));
    if parts.path.starts_with("/aws-service-role/") {
        return broken("must not be a service-linked role, which only its service assumes");
    }
    let partition = arn.split(':').nth(1);
    match before.partition {
        Some(before) if Some(before) != partition => broken(&format!(
            "must be of the partition {before}, as the role before it: no credentials go from one \
             partition to another"
        )),
        _ => Ok(()),
    }
}

fn check_policy_arn(arn: &str, account: &str) -> Result<(), Broken> {
    let broken = |rule: &str| Broken::new("policy_arn", rule, Some(arn));
    let shape = || {
        broken(
            "must be a managed policy's ARN, arn:<partition>:iam::<account id or aws>:policy/<path><name>",
        )
    };
    let parts = ArnParts::parse(arn).ok_or_else(shape)?;
    let named = parts
        .resource
        .strip_prefix("policy/")
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()));
    if !named || parts.service != "iam" || !(20..=2048).contains(&arn.len()) {
        return Err(shape());
    }
    if parts.account != account && parts.account != "aws" {
        return Err(broken(&format!(
            "must be a policy of the role's own account ({account}) or AWS's"
        )));
    }
    Ok(())
}

fn check_json_object(json: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut done = false;
    for token in json_token_iter(json.as_bytes()) {
        let token = token.map_err(|error| error.to_string())?;
        if done {
            return Err("there is something after it".to_owned());
        }
        match token {
            Token::StartArray { .. } if depth == 0 => return Err("it is an array".to_owned()),
            Token::StartObject { .. } | Token::StartArray { .. } => depth += 1,
            Token::EndObject { .. } | Token::EndArray { .. } => depth -= 1,
            _ if depth == 0 => return Err("it is a single value".to_owned()),
            // The reader leaves escapes to whoever wants the text.
            Token::ObjectKey { key: text, .. } | Token::ValueString { value: text, .. } => {
                text.to_unescaped().map_err(|error| error.to_string())?;
            }
            _ => {}
        }
        done = depth == 0;
    }
    match (done, depth) {
        (true, _) => Ok(()),
        (false, 0) => Err("it is empty".to_owned()),
        (false, _) => Err("it ends too early".to_owned()),
    }
}

fn check_tags(tags: &[Tag], before: &Before<'_>) -> Result<(), Broken> {
    if tags.len() > 50 {
        let rule = format!("at most 50 session tags, not {}", tags.len());
        return Err(Broken::new("tag", rule, None));
    }
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    for (i, Tag { key, value, .. }) in tags.iter().enumerate() {
        check_chars("tag", key, 1..=128, TAG, Show::Value).map_err(|broken| broken.of("key"))?;
        check_chars("tag", value, 0..=256, TAG, Show::Value)
            .map_err(|broken| broken.of("value"))?;
        let broken = |rule: &str| Err(Broken::new("tag", rule, Some(key)).of("key"));
        if key
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
        {
            return broken("must not begin with aws:, which is AWS's own");
        }
        if let Some(earlier) = tags[..i].iter().find(|earlier| same(&earlier.key, key)) {
            return broken(&format!(
                "must be given once, and {:?} is there already (STS takes no account of case in tag keys)",
                earlier.key
            ));
        }
        if before
            .transitive_keys
            .iter()
            .any(|inherited| same(inherited, key))
        {
            return broken(
                "must not be set again: an earlier hop set it as a transitive tag, which later \
                 hops inherit and cannot change",
            );
        }
    }
    Ok(())
}

fn check_source_identity(identity: Option<&str>, before: &Before<'_>) -> Result<(), Broken> {
    let Some(identity) = identity else {
        return Ok(());
    };
    check_chars("source_identity", identity, 2..=256, NAME, Show::Value)?;
    if let Some(earlier) = before
        .source_identity
        .filter(|earlier| *earlier != identity)
    {
        let rule =
            format!("must stay {earlier:?}: an earlier hop set it, and STS lets nobody change it");
        return Err(Broken::new("source_identity", rule, Some(identity)));
    }
    if identity.chars().count() > 64 {
        tracing::warn!(
            identity,
            "a source identity over 64 characters: STS takes up to 256 today, but AWS documents 64"
        );
    }
    Ok(())
}

/// Errors are read by people: the beginning of a long value is enough to know it by.
fn shortened(value: &str) -> String {
    const SHOWN: usize = 100;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// `<program>-<process id>`: stable within the process, and readable in CloudTrail.
fn default_session_name() -> &'static str {
    static NAME_OF_PROGRAM: OnceLock<String> = OnceLock::new();
    NAME_OF_PROGRAM.get_or_init(|| {
        let program = std::env::current_exe().ok();
        let stem = program
            .as_deref()
            .and_then(|path| path.file_stem()?.to_str())
            .unwrap_or_default();
        session_name_for(stem, std::process::id())
    })
}

/// Whatever the program is called, a name that STS takes.
fn session_name_for(program: &str, pid: u32) -> String {
    let pid = pid.to_string();
    let room = 64 - 1 - pid.len();
    let program: String = program
        .chars()
        .map(|c| if NAME.0(c) { c } else { '_' })
        .take(room)
        .collect();
    match program.as_str() {
        "" => format!("aws-role-chain-{pid}"),
        program => format!("{program}-{pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_session_name_is_valid_whatever_the_program_is_called() {
        let long = "x".repeat(300);
        let cases = [
            ("put_records", "put_records-4242"),
            ("", "aws-role-chain-4242"),
            ("Mes données (1)", "Mes_donn_es__1_-4242"),
            ("日本", "__-4242"),
        ];
        for (program, expected) in cases {
            assert_eq!(session_name_for(program, 4242), expected);
        }
        let name = session_name_for(&long, u32::MAX);
        assert_eq!(name.len(), 64);
        assert!(name.ends_with("-4294967295"), "{name}");
        assert_eq!(default_session_name(), default_session_name());
    }
}
