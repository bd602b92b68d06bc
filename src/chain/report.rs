//! The report of a [`Diagnosis`] for a terminal (feature `policy`).
#![cfg(feature = "policy")]

use std::fmt;
use std::time::Duration;

use super::diagnose::{Diagnosis, DiagnosisStep, since};
use super::policies::HopPolicies;
use crate::arn::Arn;
use crate::request::limits::CHAINED_LIMIT;
use crate::session::timestamp;

/// Lines are broken here, except for what cannot be: ARNs and documents.
const WIDTH: usize = 96;

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain_len = self.chain_len;
        let mut caller = None;
        for step in &self.steps {
            match step.hop {
                0 => writeln!(f, "{}", step.title)?,
                hop => writeln!(f, "hop {hop} of {chain_len}: {}", step.title)?,
            }
            step.write(f, caller)?;
            writeln!(f)?;
            caller = step.arn.as_deref();
        }
        for (i, title) in self.not_tried.iter().enumerate() {
            let hop = chain_len - self.not_tried.len() + i + 1;
            writeln!(f, "hop {hop} of {chain_len}: {title}\n  not tried\n")?;
        }
        let Some(error) = self.error() else {
            let identity = caller.unwrap_or_default();
            return writeln!(f, "all is well: this chain is {identity}");
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
        let asked = self.steps.last().map(|step| &step.asked[..]);
        let mut asked = asked.unwrap_or_default().iter();
        let sent_external_id =
            asked.any(|(name, value)| *name == "external ID" && value == "sent: yes");
        let caution = if sent_external_id {
            ", the external ID above all"
        } else {
            ""
        };
        let text = format!(
            "If what was asked is right{caution}, these policies allow it, beside what is there. If not, \
             change the request, not the policy."
        );
        write_wrapped(f, "", &text)?;
        let caller_account = Arn::parse(&policies.caller).map(|arn| arn.account);
        if !sent_external_id && caller_account != Some(&policies.account) {
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
        let source = source.and_then(Arn::parse);
        if self.steps.len() == 2 && source.is_some_and(|arn| arn.assumed_role().is_some()) {
            let text = "If the caller's role has a path, write it in: STS does not tell it.";
            write_wrapped(f, "", text)?;
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
            let is_chained = if self.is_chained {
                "yes: an hour at most"
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
            row("is", arn)?;
            row("of account", account)?;
        }
        let mut took = format!("{} ms", self.took.as_millis());
        if let Some(identity) = self.identity_took {
            took += &format!(", GetCallerIdentity {} ms", identity.as_millis());
        }
        row("took", &took)
    }

    fn duration_shown(&self) -> String {
        let mut shown = match self.duration {
            Some(asked) => format!("asked {} s", asked.as_secs()),
            None => "STS's default".to_owned(),
        };
        if let Some(expiry) = self.expiry {
            let left = since(self.ended, expiry);
            // An answer takes a moment to arrive.
            let is_near = |whole: &Duration| whole.abs_diff(left) < Duration::from_secs(60);
            let whole = [self.max_lifetime, CHAINED_LIMIT].into_iter().find(is_near);
            let got = whole.unwrap_or(left).as_secs();
            shown += &format!(", got {got} s, until {}", timestamp(expiry));
        }
        shown
    }
}

/// Breaks lines between words; all of them are indented to the end of `first`.
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
