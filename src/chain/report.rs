//! The report of a [`Diagnosis`], for a terminal (feature `policy`).
#![cfg(feature = "policy")]

use std::fmt;
use std::time::Duration;

use super::diagnose::{Diagnosis, DiagnosisStep, since};
use super::policies::{HopPolicies, sign_in_page};
use crate::arn::Arn;
use crate::request::limits::CHAINED_LIMIT;
use crate::timestamp::timestamp;

/// The maximum width of lines. Only policies may be wider, because they are copied.
const WIDTH: usize = 80;

/// The indentation of further lines if a word would be too long for their column.
const SMALL_INDENT: usize = 4;

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain_len = self.chain_len;
        let mut caller = None;
        for step in &self.steps {
            match step.hop {
                0 => writeln!(f, "{}", step.title)?,
                hop => write_wrapped(f, &format!("hop {hop} of {chain_len}: "), &step.title)?,
            }
            step.write(f, caller)?;
            writeln!(f)?;
            caller = step.arn.as_deref();
        }
        for (i, title) in self.not_tried.iter().enumerate() {
            let hop = chain_len - self.not_tried.len() + i + 1;
            write_wrapped(f, &format!("hop {hop} of {chain_len}: "), title)?;
            writeln!(f, "  not tried\n")?;
        }
        let Some(error) = self.error() else {
            let identity = caller.unwrap_or_default();
            let text = format!("this chain's identity is {identity}");
            return write_wrapped(f, "success: ", &text);
        };
        write_wrapped(f, "", &error.first_line().to_string())?;
        for line in error.advice() {
            write_wrapped(f, "  - ", line)?;
        }
        match &self.policies {
            None => Ok(()),
            Some(Err(reason)) => {
                writeln!(f)?;
                write_wrapped(f, "No policies to show: ", reason)
            }
            Some(Ok(policies)) => {
                writeln!(f)?;
                self.write_policies(f, policies)
            }
        }
    }
}

impl Diagnosis {
    fn write_policies(&self, f: &mut fmt::Formatter<'_>, policies: &HopPolicies) -> fmt::Result {
        let sent_external_id = (self.steps.last()).is_some_and(|step| step.sends_external_id);
        let caution = if sent_external_id {
            ", especially the external ID,"
        } else {
            ""
        };
        let text = format!(
            "If the request{caution} is correct, add these policies to the existing ones to allow it. \
             If not, change the request, not the policy."
        );
        write_wrapped(f, "", &text)?;
        let caller_account = Arn::parse(&policies.caller).map(|arn| arn.account);
        if !sent_external_id && caller_account != Some(&policies.account) {
            let text = "No external ID was sent. If the role's owner gave you one, pass it, and do \
                        not add this trust policy: it would not require one.";
            write_wrapped(f, "", text)?;
        }
        let caller = Arn::parse(&policies.caller);
        if let Some(provider) = caller.filter(|arn| arn.resource.starts_with("saml-provider/")) {
            let page = sign_in_page(provider.partition);
            let text = format!(
                "This policy is for an assertion that was posted to AWS's sign-in page ({page}) and \
                 has no PrincipalTag or SourceIdentity attributes."
            );
            write_wrapped(f, "", &text)?;
        }
        let before = self.steps.iter().rev().nth(1);
        if let Some(caller) = before.filter(|step| step.has_session_policy) {
            let hop = caller.hop;
            let text =
                format!("Hop {hop} passes a session policy, which must allow this call as well.");
            write_wrapped(f, "", &text)?;
        }
        writeln!(f)?;
        write_wrapped(f, "Trust policy of ", &format!("{}:", policies.role_arn))?;
        writeln!(f, "{}", policies.trust_policy)?;
        if let Some(warning) = policies.size_warning() {
            write_wrapped(f, "Note: ", &warning)?;
        }
        let source = self.steps.first().and_then(|step| step.arn.as_deref());
        let source = source.and_then(Arn::parse);
        if self.steps.len() == 2 && source.is_some_and(|arn| arn.assumed_role().is_some()) {
            let text = "If the caller's role has a path, add it: STS does not return it.";
            write_wrapped(f, "", text)?;
        }
        if let Some(permission) = &policies.permission_policy {
            writeln!(f)?;
            write_wrapped(f, "Permission policy of ", &format!("{}:", policies.caller))?;
            writeln!(f, "{permission}")?;
        }
        Ok(())
    }
}

impl DiagnosisStep {
    fn write(&self, f: &mut fmt::Formatter<'_>, caller: Option<&str>) -> fmt::Result {
        let mut row = |name: &str, value: &str| write_wrapped(f, &format!("  {name:<17}"), value);
        if let Some(caller) = caller {
            row("caller", caller)?;
        }
        for (name, value) in &self.parameters {
            row(name, value)?;
        }
        if self.role_arn.is_some() {
            let is_chained = if self.is_chained {
                "yes: at most one hour"
            } else {
                "no"
            };
            row("role chaining", is_chained)?;
        }
        if self.hop > 0 {
            row("duration", &self.duration_shown())?;
        }
        if let Some(id) = &self.access_key_id {
            row("access key", id)?;
        }
        if let (Some(arn), Some(account)) = (&self.arn, &self.account) {
            row("identity", arn)?;
            row("account", account)?;
        }
        let mut elapsed = format!("{} ms", self.elapsed.as_millis());
        if let Some(identity) = self.identity_elapsed {
            elapsed += &format!(", GetCallerIdentity {} ms", identity.as_millis());
        }
        row("took", &elapsed)
    }

    fn duration_shown(&self) -> String {
        let mut shown = match self.duration {
            Some(duration) => format!("requested {} s", duration.as_secs()),
            None => "STS's default".to_owned(),
        };
        if let Some(expiry) = self.expiry {
            let left = since(self.ended, expiry);
            // A small difference is the time that the response took.
            let is_near = |whole: &Duration| whole.abs_diff(left) < Duration::from_secs(60);
            let whole = [self.max_lifetime, CHAINED_LIMIT].into_iter().find(is_near);
            let got = whole.unwrap_or(left).as_secs();
            shown += &format!(", got {got} s, until {}", timestamp(expiry));
        }
        shown
    }
}

/// Writes a paragraph: `first`, then the text, whose further lines are indented to the end of `first`. Lines are broken
/// between words. An ARN that is too long for that column gets a line of its own, unbroken if it fits.
fn write_wrapped(f: &mut fmt::Formatter<'_>, first: &str, text: &str) -> fmt::Result {
    let column = first.chars().count();
    let longest = text.split_whitespace().map(|word| word.chars().count());
    let indent = match longest.max() {
        Some(longest) if column + longest > WIDTH => column.min(SMALL_INDENT),
        _ => column,
    };
    let mut line = first.to_owned();
    let mut is_begun = false;
    for word in text
        .split_whitespace()
        .flat_map(|word| pieces(word, WIDTH - indent))
    {
        let gap = usize::from(is_begun);
        if line.chars().count() + gap + word.chars().count() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(indent);
        } else if is_begun {
            line.push(' ');
        }
        line += word;
        is_begun = true;
    }
    writeln!(f, "{}", line.trim_end())
}

/// Breaks a word that is longer than a line, after a separator of ARNs if it contains one.
fn pieces(word: &str, width: usize) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let end = match rest.char_indices().nth(width) {
            None => rest.len(),
            Some((end, _)) => rest[..end].rfind(['/', ':']).map_or(end, |i| i + 1),
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
