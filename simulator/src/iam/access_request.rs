//! [`AccessRequest`]: a caller's request to a service other than STS.

use std::sync::Arc;

use super::caller::Caller;
use super::validation::IamError;
use crate::arn;
use crate::policy::keys::{self, Source};
use crate::policy::{Context, Explanation, Names, Outcome, Policy, PolicyKind, ResourcePolicy};

/// A [`Caller`]'s request to a service, which policies allow or deny; see [`Caller::request`].
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
///         .key("s3:prefix", "home/ada/") // keys that the policies may check …
///         .absent("s3:delimiter"); // … and a key that the request does not have
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
    /// Keys with their values; a key without values is absent.
    keys: Vec<(String, Vec<String>)>,
    /// The account of the resource, if it was set.
    resource_account: Option<String>,
    resource_policy: Option<GivenPolicy>,
    is_complete: bool,
}

/// The policy of a resource.
#[derive(Clone, Debug)]
enum GivenPolicy {
    Json(String),
    /// Parsed when it was saved, with the unique IDs that users and roles had at that time.
    Saved(Arc<Policy>),
}

impl Caller {
    /// Returns whether the caller may perform `action`, such as `firehose:PutRecord`, on the resource with this ARN.
    /// The caller's identity policies, permissions boundary and session policies decide, and the policies of AWS
    /// Organizations. As in AWS, a resource in another account must allow the request by its own policy, too; use
    /// [`request`](Self::request) to set one.
    ///
    /// If the decision depends on a condition key that only the request to the service has, such as `s3:prefix`, this
    /// returns `false`, and the client gets the error `Undecided` instead of the handler's response, so that no test
    /// passes for the wrong reason. Use [`request`](Self::request) to set such keys.
    pub fn may(&self, action: &str, resource_arn: &str) -> bool {
        self.request(action, resource_arn).is_allowed()
    }

    /// Creates a request of the caller, to which condition keys and a policy of the resource can be added.
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

    /// Sets a condition key of the request: a key of the service (`s3:prefix`), or one that depends on the resource or
    /// the parameters of the request (`aws:ResourceTag/<key>`, `aws:RequestTag/<key>`).
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

    /// Declares that the request does not have a condition key.
    pub fn absent(self, name: impl Into<String>) -> Self {
        self.keys(name, [""; 0])
    }

    /// Declares that the request has no condition keys of the operation and the service other than those that are
    /// [set](Self::key). Default: a key is unknown unless it is set or [absent](Self::absent).
    pub fn complete(mut self) -> Self {
        self.is_complete = true;
        self
    }

    /// Sets the account of the resource. Default: the account in its ARN; if the ARN has none, like that of a bucket,
    /// the caller's account.
    pub fn resource_account(mut self, id: impl Into<String>) -> Self {
        self.resource_account = Some(id.into());
        self
    }

    /// Sets the policy of the resource, such as a bucket policy, as JSON. A KMS key's policy must allow even callers in
    /// the key's own account, by naming them or the account. Default: none.
    pub fn resource_policy(mut self, json: impl Into<String>) -> Self {
        self.resource_policy = Some(GivenPolicy::Json(json.into()));
        self
    }

    /// Sets the policy of the resource, if it has one, as it was parsed when it was saved.
    pub(crate) fn saved_policy(mut self, policy: Option<Arc<Policy>>) -> Self {
        self.resource_policy = policy.map(GivenPolicy::Saved);
        self
    }

    /// Returns whether the request is allowed. If that cannot be [decided](Self::explain), or a key or the policy is
    /// malformed, this returns `false`, and the client gets the error `Undecided`.
    /// [`Simulator::refusals`](crate::Simulator::refusals) has the reason for each denial.
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
        // Fails if a reason is stored already: the first one is kept.
        let _ = self.caller.undecided.set(reason);
        false
    }

    /// Returns AWS's message for a denied request.
    pub(crate) fn refusal(&self) -> String {
        let Self {
            action, resource, ..
        } = self;
        // `is_allowed` has reported an error as `Undecided` already.
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
    /// Fails if the policy of the resource is malformed, or if a key is not one that requests to services have.
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
                Some(Source::Caller) => {
                    "the simulator derives it from the user, the role or the session"
                }
                Some(Source::Account) => "set it with Simulator::account",
                Some(Source::Token) => {
                    "the simulator takes it from the token of an identity provider"
                }
                Some(Source::Absent) => "requests of users and roles never have it",
            };
            return Err(IamError::validation(
                format!("condition key {name:?}"),
                rule,
            ));
        }
        Ok(context)
    }

    fn read(&self, json: &str) -> Result<Policy, IamError> {
        // The policy only has to identify the caller; other users and roles need no ID.
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
