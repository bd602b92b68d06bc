//! [`RoleChain::diagnose`]: the chain walked hop by hop, with a report on what each one asked and got.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;

use crate::advice::{Call, Side, refusing_side};
use crate::chain::{Ask, Hop, RoleChain};
use crate::error::{Error, timestamp};
use crate::policy::{By, HopPolicies, Source};
use crate::role::{CHAINED_LIMIT, Request};
use crate::start::Claims;

/// The report's lines are broken here, but for what cannot be: ARNs and documents.
const WIDTH: usize = 96;

impl RoleChain {
    /// Walks the chain with real calls and says what came of each: whose the source credentials are
    /// (GetCallerIdentity, which needs no permission), then each hop assumed and asked the same, up to
    /// the first refusal. For a person who wonders why it does not work, or whether it will.
    ///
    /// Each hop is [refreshed](Self::refresh), so a code is asked for where one is needed, and the
    /// credentials in hand stay where a hop is refused. What comes back is this chain's from then on. The
    /// source's provider, or whoever gives a web identity's token, is asked twice.
    ///
    /// ```no_run
    /// # async fn example(chain: aws_role_chain::RoleChain) {
    /// let diagnosis = chain.diagnose().await;
    /// println!("{diagnosis}");
    /// if let Some(policies) = diagnosis.policies() {
    ///     // If the request is right: else change that, not the policy.
    ///     println!("this would allow it:\n{}", policies.trust_policy);
    /// }
    /// # }
    /// ```
    pub async fn diagnose(&self) -> Diagnosis {
        let hops = self.hops();
        let mut diagnosis = Diagnosis {
            hops: self.hop().number,
            steps: Vec::new(),
            not_tried: Vec::new(),
            policies: None,
        };
        // This chain is one of its hops, so there is a first one. A source that a chain keeps has no
        // region of its own.
        let asker = hops.iter().find(|hop| hop.hop().number > 0);
        let mut caller = match hops[0].source_step(asker.unwrap_or(&hops[0])).await {
            Some(source) => diagnosis.take(source),
            None => None,
        };
        for hop in hops.into_iter().filter(|hop| hop.hop().number > 0) {
            if diagnosis.is_ok() {
                caller = diagnosis.take(hop.step(caller.as_ref()).await);
            } else {
                diagnosis.not_tried.push(hop.title());
            }
        }
        diagnosis.policies = self.would_allow(&diagnosis.steps);
        diagnosis
    }

    /// None where the chain starts with a token.
    async fn source_step(&self, asker: &RoleChain) -> Option<Tried> {
        let started = self.now();
        let loaded = match self.hop().number {
            // What it keeps is what its roles are assumed with.
            0 => match self.refresh().await {
                Ok(()) => Ok(self.session()?.credentials),
                Err(error) => Err(error),
            },
            _ => self.hop().source().await?,
        };
        let mut step = DiagnosisStep::new("source credentials".to_owned(), 0, started, self.now());
        let in_hand = loaded.map_err(|error| step.error = Some(error)).ok();
        asker.ask_who(in_hand.as_ref(), &mut step).await;
        Some((step, in_hand))
    }

    async fn step(&self, caller: Option<&Credentials>) -> Tried {
        let hop = self.hop();
        let started = self.now();
        let mut refreshed = self.refresh().await;
        if refreshed.is_ok() && self.session().is_some_and(|session| session.kept) {
            // In the AWS CLI's cache: what STS says today is another matter.
            refreshed = self.refresh().await;
        }
        let mut step = DiagnosisStep::new(self.title(), hop.number, started, self.now());
        step.role_arn = self.role_arn().map(str::to_owned);
        step.asked = hop.asks(caller);
        step.claims = hop.claims().await;
        if let Some(claims) = &step.claims {
            step.asked.extend([
                ("token's issuer", claims.issuer.clone()),
                ("its audience", claims.audience.clone()),
                ("its subject", claims.subject.clone()),
            ]);
        }
        step.is_chained = hop.asked(caller).chained && step.role_arn.is_some();
        step.duration = hop.ask.duration();
        step.longest = hop.ask.longest();
        let refreshed = refreshed.map_err(|error| step.error = Some(error)).ok();
        let session = refreshed.and_then(|()| self.session());
        let in_hand = session.map(|session| session.credentials);
        self.ask_who(in_hand.as_ref(), &mut step).await;
        (step, in_hand)
    }

    /// Writes down what came back, if anything did, and whose it is.
    async fn ask_who(&self, in_hand: Option<&Credentials>, step: &mut DiagnosisStep) {
        let Some(credentials) = in_hand else { return };
        step.access_key_id = Some(credentials.access_key_id().to_owned());
        step.expiry = credentials.expiry();
        let started = self.now();
        let asking = self.hop().identity(credentials.clone(), step.hop == 0);
        match asking.await {
            Ok((arn, account)) => (step.arn, step.account) = (Some(arn), Some(account)),
            Err(error) => step.error = Some(error),
        }
        step.identity_took = Some(since(started, self.now()));
    }

    fn title(&self) -> String {
        let call = self.hop().asked(None).call.name();
        match self.role_arn() {
            Some(role) => format!("{call} {role}"),
            None => call.to_owned(),
        }
    }

    /// The policies of the hop that was denied, if policies are what it lacks, or why there are none.
    fn would_allow(&self, steps: &[DiagnosisStep]) -> Option<Result<HopPolicies, String>> {
        let (last, before) = steps.split_last()?;
        let error = last.error.as_ref()?;
        let message = error.message().unwrap_or_default();
        // A code that is wrong is no policy's business.
        let of_policies = error.is_access_denied()
            && error.role_arn().is_some()
            && !message.contains("MultiFactorAuthentication failed")
            && !message.contains("by root accounts");
        if !of_policies {
            return None;
        }
        if message.contains("explicit deny") {
            let why =
                "a policy denies it, and no other policy can allow what one denies".to_owned();
            return Some(Err(why));
        }
        if let Some(Side::Other(policy)) = refusing_side(message) {
            let why =
                format!("the {policy} must allow it, and neither of the two policies is that");
            return Some(Err(why));
        }
        let mut asked = self.asked().into_iter();
        let asked = asked.find(|asked| asked.hop == last.hop)?;
        let source = match asked.by {
            // Whoever starts the chain, here it is a role that is refused.
            By::Role(_) => None,
            By::Source => Some(Source::arn(before.first()?.arn.as_deref()?)),
            By::Saml(_) => Some(Source::saml()),
            By::WebIdentity => {
                let claims = last.claims.as_ref()?;
                Some(Source::web_identity(
                    &claims.issuer,
                    &claims.audience,
                    &claims.subject,
                ))
            }
        };
        let policies = match source {
            None => Source::arn("").policies(&asked).ok()?,
            Some(source) => match self.policies(source) {
                Ok(policies) => policies.into_iter().find(|hop| hop.hop == last.hop)?,
                Err(error) => return Some(Err(error.to_string())),
            },
        };
        let action = message.split("perform: ").nth(1);
        let action = action.and_then(|rest| rest.split_whitespace().next());
        match action {
            Some(action) if !policies.trust_policy.compact().contains(action) => {
                Some(Err(format!(
                    "{action} is for tags or an identity that the source's session brings along, which \
                 this chain does not know: allow it to {} on both sides",
                    policies.caller
                )))
            }
            _ => Some(Ok(policies)),
        }
    }
}

/// A step, and the credentials that came of it.
type Tried = (DiagnosisStep, Option<Credentials>);

/// What became of each hop of a chain; see [`RoleChain::diagnose`].
///
/// `Display` is a report for a terminal: for each hop who asked, what for, and what came back; on a
/// refusal the error with its advice, and the two policies that would allow it. Neither it nor `Debug`
/// holds a secret key, a session token or an MFA code; the external ID is in the trust policy, and
/// nowhere else.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    hops: usize,
    steps: Vec<DiagnosisStep>,
    not_tried: Vec<String>,
    policies: Option<Result<HopPolicies, String>>,
}

impl Diagnosis {
    /// Whether every call was answered well.
    pub fn is_ok(&self) -> bool {
        self.error().is_none()
    }

    /// The first refusal or failure, with advice.
    pub fn error(&self) -> Option<&Error> {
        self.steps.last()?.error.as_ref()
    }

    /// What was tried, in order: the source credentials, unless the chain starts with a token, and the
    /// hops.
    pub fn steps(&self) -> &[DiagnosisStep] {
        &self.steps
    }

    /// The two policies that let the refused hop through, where policies are what it may lack
    /// (`AccessDenied`) and STS says who starts the chain. Of a source that is a role's session, the
    /// role's path is not known: see [`Source::arn`](crate::policy::Source::arn).
    ///
    /// They allow what this chain asked for. Where that was wrong, such as an external ID that is not the
    /// one that the role's owner gave out, the request is to be changed, not the policy.
    pub fn policies(&self) -> Option<&HopPolicies> {
        self.policies.as_ref()?.as_ref().ok()
    }

    /// Of the last step.
    fn asked_for_external_id(&self) -> bool {
        let asked = self.steps.last().map(|step| &step.asked);
        asked.is_some_and(|asked| asked.contains(&("external ID", "sent: yes".to_owned())))
    }

    fn take(&mut self, (mut step, in_hand): Tried) -> Option<Credentials> {
        step.error = step.error.map(|error| error.seen_from(self.hops));
        self.steps.push(step);
        in_hand
    }
}

/// One step of a [`Diagnosis`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiagnosisStep {
    /// The hop's place in the chain, from 1; 0 for the source credentials.
    pub hop: usize,
    /// The role; `None` for a session token and the source.
    pub role_arn: Option<String>,
    /// What was asked for, as the report has it: name and value. No secret is among them.
    pub asked: Vec<(&'static str, String)>,
    /// How long a session was asked for; `None` for STS's default.
    pub duration: Option<Duration>,
    /// Whether it is role chaining, because temporary credentials signed: then a session lasts
    /// [an hour at most](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining).
    pub is_chained: bool,
    /// The access key id that came back.
    pub access_key_id: Option<String>,
    /// When it expires; `None` also for long-term keys.
    pub expiry: Option<SystemTime>,
    /// Whose it is, as GetCallerIdentity says: `arn:aws:sts::<account>:assumed-role/<role>/<session>`
    /// or `arn:aws:iam::<account>:user/<user>`.
    pub arn: Option<String>,
    /// The account of that.
    pub account: Option<String>,
    /// How long the credentials took, by the base config's clock, with all that the call had to wait
    /// for, such as a person's code and, at the first hop, the source.
    pub took: Duration,
    /// How long GetCallerIdentity took.
    pub identity_took: Option<Duration>,
    /// Why there are none, or why STS does not say whose they are.
    pub error: Option<Error>,
    title: String,
    ended: SystemTime,
    longest: Duration,
    claims: Option<Claims>,
}

impl DiagnosisStep {
    fn new(title: String, hop: usize, started: SystemTime, ended: SystemTime) -> Self {
        Self {
            hop,
            role_arn: None,
            asked: Vec::new(),
            duration: None,
            is_chained: false,
            access_key_id: None,
            expiry: None,
            arn: None,
            account: None,
            took: since(started, ended),
            identity_took: None,
            error: None,
            title,
            ended,
            longest: Duration::ZERO,
            claims: None,
        }
    }

    fn duration_shown(&self) -> String {
        let mut shown = match self.duration {
            Some(asked) => format!("asked {} s", asked.as_secs()),
            None => "STS's default".to_owned(),
        };
        if let Some(expiry) = self.expiry {
            let left = since(self.ended, expiry);
            // An answer takes a moment to come.
            let near = |whole: &Duration| whole.abs_diff(left) < Duration::from_secs(60);
            let whole = [self.longest, CHAINED_LIMIT].into_iter().find(near);
            let got = whole.unwrap_or(left);
            shown += &format!(", got {} s, until {}", got.as_secs(), timestamp(expiry));
        }
        shown
    }
}

impl Hop {
    fn asks(&self, caller: Option<&Credentials>) -> Vec<(&'static str, String)> {
        let asked = self.asked(caller);
        let mut asks = vec![("region", asked.region.to_owned())];
        if let Ask::Role(role) = &self.ask {
            // An assertion has a name for the session itself.
            if asked.call != Call::AssumeRoleWithSaml {
                asks.push(("session name", role.session_name.to_string()));
            }
            if asked.call == Call::AssumeRole {
                let sent = if asked.external_id { "yes" } else { "no" };
                asks.push(("external ID", format!("sent: {sent}")));
            }
            self.asks_of_role(role, &mut asks);
        }
        if let Some(mfa) = self.ask.mfa() {
            asks.push(("MFA device", mfa.serial.clone()));
        }
        asks
    }

    /// What most roles are not asked for.
    fn asks_of_role(&self, role: &Request, asks: &mut Vec<(&'static str, String)>) {
        let inherited = self.parent.inherited();
        let tags = role.tags.iter().map(|tag| match tag.transitive {
            true => format!("{} (transitive)", tag.key),
            false => tag.key.clone(),
        });
        let identity = match (&role.source_identity, inherited.source_identity) {
            (Some(set), _) => set.clone(),
            (None, Some(inherited)) => format!("{inherited} (inherited)"),
            (None, None) => String::new(),
        };
        let policy = role.policy.as_ref().map(|json| json.chars().count());
        let contexts = role
            .provided_contexts
            .iter()
            .map(|(provider, _)| &**provider);
        for (name, value) in [
            ("session tags", tags.collect::<Vec<_>>().join(", ")),
            ("inherited tags", inherited.transitive_keys.join(", ")),
            ("source identity", identity),
            (
                "session policy",
                policy.map_or_else(String::new, |length| format!("{length} characters")),
            ),
            ("policy ARNs", role.policy_arns.join(", ")),
            ("contexts of", contexts.collect::<Vec<_>>().join(", ")),
        ] {
            if !value.is_empty() {
                asks.push((name, value));
            }
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hops = self.hops;
        let mut caller = None;
        for step in &self.steps {
            match step.hop {
                0 => writeln!(f, "{}", step.title)?,
                hop => writeln!(f, "hop {hop} of {hops}: {}", step.title)?,
            }
            step.write(f, caller)?;
            writeln!(f)?;
            caller = step.arn.as_deref();
        }
        for (i, title) in self.not_tried.iter().enumerate() {
            let hop = hops - self.not_tried.len() + i + 1;
            writeln!(f, "hop {hop} of {hops}: {title}\n  not tried\n")?;
        }
        let Some(error) = self.error() else {
            let is = caller.unwrap_or_default();
            return writeln!(f, "all is well: this chain is {is}");
        };
        write_wrapped(f, "", &error.with_causes().to_string())?;
        for line in error.advice() {
            write_wrapped(f, "  - ", line)?;
        }
        let policies = match &self.policies {
            None => return Ok(()),
            Some(Err(why)) => {
                writeln!(f)?;
                return write_wrapped(f, "No policies to show: ", why);
            }
            Some(Ok(policies)) => policies,
        };
        writeln!(f)?;
        let caution = match self.asked_for_external_id() {
            true => ", the external ID above all",
            false => "",
        };
        let text = format!(
            "If what was asked is right{caution}, these policies allow it, beside what is there. If not, change \
             the request, not the policy."
        );
        write_wrapped(f, "", &text)?;
        if !self.asked_for_external_id()
            && policies.caller.split(':').nth(4) != Some(&policies.account)
        {
            let text = "No external ID was sent. If the role's owner gave you one, pass it, and do not add \
                        this trust policy: it would ask for none.";
            write_wrapped(f, "", text)?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "Trust policy of {}:\n{}",
            policies.role_arn, policies.trust_policy
        )?;
        let source = self.steps.first().and_then(|step| step.arn.as_deref());
        if self.steps.len() == 2 && source.is_some_and(|arn| arn.contains(":assumed-role/")) {
            write_wrapped(
                f,
                "",
                "If the caller's role has a path, write it in: STS does not tell it.",
            )?;
        }
        if let Some(permission) = &policies.permission_policy {
            writeln!(
                f,
                "\nPermission policy of {}:\n{permission}",
                policies.caller
            )?;
        }
        Ok(())
    }
}

impl DiagnosisStep {
    fn write(&self, f: &mut fmt::Formatter<'_>, caller: Option<&str>) -> fmt::Result {
        let mut row = |name: &str, value: &str| write_wrapped(f, &format!("  {name:<17}"), value);
        if let Some(caller) = caller {
            row("asked by", caller)?;
        }
        for (name, value) in &self.asked {
            row(name, value)?;
        }
        if self.role_arn.is_some() {
            row(
                "role chaining",
                match self.is_chained {
                    true => "yes: an hour at most",
                    false => "no",
                },
            )?;
        }
        if self.hop > 0 {
            row("duration", &self.duration_shown())?;
        }
        if let Some(id) = &self.access_key_id {
            row("access key", id)?;
        }
        if let (Some(arn), Some(account)) = (&self.arn, &self.account) {
            row("is", arn)?;
            row("of account", account)?;
        }
        let mut took = format!("{} ms", self.took.as_millis());
        if let Some(identity) = self.identity_took {
            took += &format!(", GetCallerIdentity {} ms", identity.as_millis());
        }
        row("took", &took)
    }
}

/// Breaks lines between words; all of them stand under each other behind `first`.
fn write_wrapped(f: &mut fmt::Formatter<'_>, first: &str, text: &str) -> fmt::Result {
    let indent = first.chars().count();
    f.write_str(first)?;
    for (i, line) in text.lines().enumerate() {
        let mut column = indent;
        for (j, word) in line.split_whitespace().enumerate() {
            let length = word.chars().count();
            if j > 0 && column + 1 + length <= WIDTH {
                f.write_str(" ")?;
                column += 1;
            } else if i + j > 0 {
                write!(f, "\n{:indent$}", "")?;
                column = indent;
            }
            f.write_str(word)?;
            column += length;
        }
    }
    writeln!(f)
}

/// None of the time that a clock that was set back would take away.
fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}
