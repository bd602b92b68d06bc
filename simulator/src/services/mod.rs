//! Two services that most tests of a chain of roles end in, in memory: [`Firehose`] and [`S3`].

mod bucket_policy;
mod chunked;
mod firehose;
mod s3;

pub use firehose::Firehose;
pub use s3::S3;

use crate::iam::AccessRequest;
use crate::policy::{PolicyKind, Reason};

/// Returns the message with which services refuse what a caller of the same account may not do.
fn not_authorized(request: &AccessRequest) -> String {
    let (caller, action, resource) = (request.caller(), request.action(), request.resource());
    let reason = match request.explain().map(|explanation| {
        let kind = explanation.statement().map(|(policy, _)| policy.kind);
        (explanation.reason, kind)
    }) {
        Ok((Reason::Statement { .. }, Some(kind))) => {
            let name = name_of(kind);
            let article = if name.starts_with('i') { "an" } else { "a" };
            format!("with an explicit deny in {article} {name}")
        }
        Ok((Reason::NoStatement(kind), _)) => {
            format!("because no {} allows the {action} action", name_of(kind))
        }
        // The session may not call it, or it cannot be decided, which is then the answer.
        _ => format!("because no identity-based policy allows the {action} action"),
    };
    format!(
        "User: {} is not authorized to perform: {action} on resource: {resource} {reason}",
        caller.arn()
    )
}

/// Returns the name of a kind of policy in AWS's messages.
fn name_of(kind: PolicyKind) -> &'static str {
    match kind {
        PolicyKind::ServiceControl => "service control policy",
        PolicyKind::ResourceControl => "resource control policy",
        PolicyKind::Resource | PolicyKind::Trust => "resource-based policy",
        PolicyKind::Identity => "identity-based policy",
        PolicyKind::Boundary => "permissions boundary",
        PolicyKind::Session => "session policy",
    }
}
