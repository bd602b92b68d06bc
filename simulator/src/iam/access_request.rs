//! [`AccessRequest`]: a request of a caller to a service other than STS.

use std::sync::Arc;

use super::caller::Caller;
use super::validation::IamError;
use crate::arn;
use crate::policy::keys::{self, Source};
use crate::policy::{Context, Explanation, Names, Outcome, Policy, PolicyKind, ResourcePolicy};

/// A request of a [`Caller`] to a service, which policies allow or not; see [`Caller::request`].
///
/// # Examples
///
/// ```
/// use sts_simulator::{HttpResponse, Simulator};
///
/// let aws = Simulator::new();
/// aws.service("s3", |caller, _request| {
///     let list = caller
///         .request("s3:ListBucket", "arn:aws:s3:::reports")
///         .key("s3:prefix", "home/ada/") // what the policies may ask for…
///         .absent("s3:delimiter"); // … and what the request does not have
///     let status = if list.is_allowed() { 200 } else { 403 };
///     HttpResponse::new(status.try_into().unwrap(), "".into())
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "call is_allowed() or explain()"]
pub struct AccessRequest {
    caller: Caller,
    action: String,
    resource: String,
    /// Keys with values; without, they are absent.
    keys: Vec<(String, Vec<String>)>,
    /// The account of the resource, if the ARN does not say it.
    resource_account: Option<String>,
    resource_policy: Option<GivenPolicy>,
    is_complete: bool,
}

/// The policy of a resource, as it is given.
#[derive(Clone, Debug)]
enum GivenPolicy {
    Json(String),
    /// It was read when it was saved: by the unique IDs that users and roles had then.
    Saved(Arc<Policy>),
}

impl Caller {
    /// Returns whether the caller may perform `action`, such as `firehose:PutRecord`, on the resource with this ARN:
    /// by the caller's identity policies, permissions boundary and session policies, and by the policies of AWS
    /// Organizations. A resource in another account must allow it, too, by a policy of its own, as in AWS:
    /// [`request`](Self::request) takes one.
    ///
    /// If that depends on a condition key which only the request to the service has, such as `s3:prefix`, the
    /// answer is `false`, and the client gets the error `Undecided` in place of what the handler answers, so that no
    /// test passes for the wrong reason. [`request`](Self::request) takes such keys.
    pub fn may(&self, action: &str, resource_arn: &str) -> bool {
        self.request(action, resource_arn).is_allowed()
    }

    /// Returns a request of the caller, to which condition keys and a policy of the resource can be added.
    pub fn request(
        &self,
        action: impl Into<String>,
        resource_arn: impl Into<String>,
    ) -> AccessRequest {
        AccessRequest::new(self.clone(), action.into(), resource_arn.into())
    }
}

impl AccessRequest {
    fn new(caller: Caller, action: String, resource: String) -> Self {
        Self {
            caller,
            action,
            resource,
            keys: Vec::new(),
            resource_account: None,
            resource_policy: None,
            is_complete: false,
        }
    }

    /// Sets a condition key of the request: one of the service (`s3:prefix`), or one that depends on the resource or
    /// on what is asked for (`aws:ResourceTag/<key>`, `aws:RequestTag/<key>`).
    pub fn key(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.keys(name, [value])
    }

    /// Sets a condition key with several values, such as `aws:TagKeys`.
    pub fn keys<T: Into<String>>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.keys.push((name.into(), values));
        self
    }

    /// Says that the request does not have a condition key.
    pub fn absent(self, name: impl Into<String>) -> Self {
        self.keys(name, [""; 0])
    }

    /// Says that the request has no condition keys of the operation and the service but those that are
    /// [set](Self::key): all others are absent. Default: what is not said is not known.
    pub fn complete(mut self) -> Self {
        self.is_complete = true;
        self
    }

    /// Sets the account of the resource. Default: the account in its ARN; if it has none, as that of a bucket, the
    /// caller's.
    pub fn resource_account(mut self, id: impl Into<String>) -> Self {
        self.resource_account = Some(id.into());
        self
    }

    /// Sets the policy of the resource, as JSON, such as that of a bucket. That of a KMS key must allow callers of its
    /// own account, too, by naming them or the account. Default: none.
    pub fn resource_policy(mut self, json: impl Into<String>) -> Self {
        self.resource_policy = Some(GivenPolicy::Json(json.into()));
        self
    }

    /// Sets the policy of the resource, if it has one, as it was read when it was saved.
    pub(crate) fn saved_policy(mut self, policy: Option<Arc<Policy>>) -> Self {
        self.resource_policy = policy.map(GivenPolicy::Saved);
        self
    }

    /// Returns whether the request is allowed. If that cannot be [decided](Self::explain), or a key or the policy is
    /// malformed, the answer is `false`, and the client gets the error `Undecided`. Of what is refused,
    /// [`Simulator::refusals`](crate::Simulator::refusals) has the reason.
    pub fn is_allowed(&self) -> bool {
        let reason = match self.explain() {
            Ok(explanation) if explanation.outcome() != Outcome::Undecided => {
                let is_allowed = explanation.is_allowed();
                if !is_allowed {
                    self.caller.refuse(explanation);
                }
                return is_allowed;
            }
            Ok(undecided) => undecided.to_string(),
            Err(error) => error.to_string(),
        };
        // The first reason is kept.
        let _ = self.caller.undecided.set(reason);
        false
    }

    /// Returns AWS's message about the refusal of the request.
    pub(crate) fn refusal(&self) -> String {
        let Self {
            action, resource, ..
        } = self;
        // What cannot be explained is answered with that.
        let reason = self.explain().map(|explanation| explanation.refusal());
        format!(
            "User: {} is not authorized to perform: {action} on resource: {resource} {}",
            self.caller.arn(),
            reason.unwrap_or_default()
        )
    }

    /// Returns whether the request is allowed, and why. The outcome is [`Outcome::Undecided`] if it depends on a
    /// condition key that is neither [set](Self::key) nor [absent](Self::absent).
    ///
    /// # Errors
    ///
    /// Fails if the policy of the resource is malformed, or a key is not one that requests to services have.
    pub fn explain(&self) -> Result<Explanation, IamError> {
        let in_arn = arn::account_of(&self.resource);
        let account = match &self.resource_account {
            Some(account) => account,
            None if in_arn.is_empty() => self.caller.account(),
            None => in_arn,
        };
        let context = self.context(account)?;
        let policy = match &self.resource_policy {
            Some(GivenPolicy::Json(json)) => Some(Arc::new(self.read(json)?)),
            Some(GivenPolicy::Saved(policy)) => Some(Arc::clone(policy)),
            None => None,
        };
        let is_key = matches!(arn::split(&self.resource), Some([_, _, "kms", ..]));
        let policy = match &policy {
            None => ResourcePolicy::None,
            Some(policy) if is_key => ResourcePolicy::Key(policy),
            Some(policy) => ResourcePolicy::Policy(policy),
        };
        let (action, resource) = (&self.action, &self.resource);
        Ok(self
            .caller
            .decide(action, resource, account, policy, &context))
    }

    fn context(&self, account: &str) -> Result<Context, IamError> {
        let mut context = self.caller.context();
        let service = self
            .action
            .split_once(':')
            .map_or("", |(service, _)| service);
        if !self.is_complete {
            context.leave_open(service);
        }
        context.set("aws:ResourceAccount", account);
        if let Some(account) = self.caller.accounts.get(account) {
            account.set_resource_keys(&mut context);
        }
        for (name, values) in &self.keys {
            let rule = match keys::source(name) {
                Some(Source::Operation | Source::Service | Source::Request) | None => {
                    context.set_all(name, values.clone());
                    continue;
                }
                Some(Source::Simulator) => "the simulator sets it",
                Some(Source::Caller) => "it comes from the user, the role or the session",
                Some(Source::Account) => "set it with Simulator::account",
                Some(Source::Token) => "it comes from the token of an identity provider",
                Some(Source::Absent) => "the requests of users and roles do not have it",
            };
            return Err(IamError::validation(
                format!("condition key {name:?}"),
                rule,
            ));
        }
        Ok(context)
    }

    fn read(&self, json: &str) -> Result<Policy, IamError> {
        // Only whether the caller is named matters.
        let resolve = |arn: &str| {
            Some(if arn == self.caller.principal_arn {
                self.caller.principal_id.clone()
            } else {
                String::new()
            })
        };
        let names = Names {
            resolve: &resolve,
            keys: &self.caller.added_keys,
        };
        let name = format!("{:?}", self.resource);
        Policy::read(PolicyKind::Resource, &*self.resource, json, names)
            .map_err(|error| IamError::malformed_policy(&format!("policy of {name}"), error))
    }
}
