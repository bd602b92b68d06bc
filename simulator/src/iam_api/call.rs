//! [`Call`]: one request to IAM's API, and helpers for the operations.

use std::time::SystemTime;

use crate::arn;
use crate::iam::{Accounts, Caller, Document, Entity, IamError, check_tags};
use crate::protocol::{Element, ErrorResponse, Parameters, lower_first};

/// The result of an operation: the elements of the response, if it has any.
pub(super) type Answer = Result<Option<Vec<Element>>, ErrorResponse>;

/// One request by an authenticated caller.
pub(super) struct Call<'a> {
    pub(super) accounts: &'a mut Accounts,
    pub(super) caller: &'a Caller,
    pub(super) action: &'a str,
    pub(super) parameters: &'a Parameters,
    pub(super) now: SystemTime,
    /// The caller's account, which all operations act on.
    pub(super) account: &'a str,
}

/// The kinds of entities that have policies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Role,
    Group,
}

impl Kind {
    /// Returns the name in error messages and ARNs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
        }
    }

    /// Returns the name of the XML element that describes the entity.
    pub(super) fn element(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Role => "Role",
            Self::Group => "Group",
        }
    }

    /// Returns the name of the parameter that contains the entity's name.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::User => "UserName",
            Self::Role => "RoleName",
            Self::Group => "GroupName",
        }
    }
}

/// The properties of a call's resource that policies may check.
#[derive(Default)]
struct ResourceProperties<'a> {
    boundary: Option<&'a str>,
    tags: &'a [(String, String)],
}

/// Whether requests for an action of IAM have the condition key `iam:PermissionsBoundary`, according to the Service
/// Authorization Reference.
fn has_boundary_key(action: &str) -> bool {
    matches!(
        action,
        "AttachRolePolicy"
            | "AttachUserPolicy"
            | "CreateRole"
            | "CreateUser"
            | "DeleteRolePermissionsBoundary"
            | "DeleteRolePolicy"
            | "DeleteUserPermissionsBoundary"
            | "DeleteUserPolicy"
            | "DetachRolePolicy"
            | "DetachUserPolicy"
            | "PutRolePermissionsBoundary"
            | "PutRolePolicy"
            | "PutUserPermissionsBoundary"
            | "PutUserPolicy"
    )
}

impl<'a> Call<'a> {
    pub(super) fn new(
        accounts: &'a mut Accounts,
        caller: &'a Caller,
        action: &'a str,
        parameters: &'a Parameters,
        now: SystemTime,
    ) -> Result<Self, ErrorResponse> {
        let name = format!("iam:{action}");
        // `may` records the reason, which the response does not give, in the refusals.
        if caller.is_barred_from(&name) && !caller.may(&name, "*") {
            return Err(ErrorResponse::new(
                403,
                "InvalidClientTokenId",
                "The security token included in the request is invalid",
            ));
        }
        Ok(Self {
            accounts,
            caller,
            action,
            parameters,
            now,
            account: caller.account(),
        })
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        self.parameters.first(name)
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, ErrorResponse> {
        self.optional(name)
            .ok_or_else(|| violation("null", name, "Member must not be null"))
    }

    /// Returns a parameter that is a name of at most `max` characters.
    pub(super) fn name(&self, parameter: &str, max: usize) -> Result<&'a str, ErrorResponse> {
        let name = self.required(parameter)?;
        check_name(parameter, name, max)?;
        Ok(name)
    }

    /// Returns the name of a user, role or group.
    pub(super) fn name_of(&self, kind: Kind) -> Result<&'a str, ErrorResponse> {
        let max = if kind == Kind::Role { 64 } else { 128 };
        self.name(kind.parameter(), max)
    }

    /// Returns the parameter `Path`. Default: `/`.
    pub(super) fn path(&self) -> Result<&'a str, ErrorResponse> {
        Ok(self.path_in("Path")?.unwrap_or("/"))
    }

    /// Returns a parameter that is a path, if it was sent.
    pub(super) fn path_in(&self, parameter: &str) -> Result<Option<&'a str>, ErrorResponse> {
        let Some(path) = self.optional(parameter) else {
            return Ok(None);
        };
        let is_path = path.starts_with('/')
            && path.ends_with('/')
            && path.len() <= 512
            && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if is_path {
            return Ok(Some(path));
        }
        let rule = r"Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)";
        Err(violation(&format!("'{path}'"), parameter, rule))
    }

    /// Returns the ARN of a resource in the caller's account, such as `user/<path><name>`.
    pub(super) fn arn(&self, resource: &str) -> String {
        let partition = self.caller.partition();
        format!("arn:{partition}:iam::{}:{resource}", self.account)
    }

    pub(super) fn entity(&self, kind: Kind, name: &str) -> Option<&Entity> {
        let directory = &self.accounts.directory;
        match kind {
            Kind::User => Some(&directory.users.get(self.account, name)?.entity),
            Kind::Role => Some(&directory.roles.get(self.account, name)?.entity),
            Kind::Group => directory.groups.get(self.account, name),
        }
    }

    /// Returns the entities of this kind in the caller's account.
    pub(super) fn entities(&self, kind: Kind) -> Vec<&Entity> {
        let directory = &self.accounts.directory;
        match kind {
            Kind::User => (directory.users.of(self.account))
                .map(|user| &user.entity)
                .collect(),
            Kind::Role => (directory.roles.of(self.account))
                .map(|role| &role.entity)
                .collect(),
            Kind::Group => directory.groups.of(self.account).collect(),
        }
    }

    /// Returns the entity that the request names, if it exists and the caller may perform the operation on it.
    pub(super) fn authorized(&mut self, kind: Kind) -> Result<&mut Entity, ErrorResponse> {
        let name = self.name_of(kind)?;
        self.authorized_named(kind, name)
    }

    /// Returns the name of the user that the request names; by default, the caller's.
    pub(super) fn user_name(&self) -> Result<&'a str, ErrorResponse> {
        let own = self.caller.arn();
        match self.optional(Kind::User.parameter()) {
            None if own.contains(":user/") => Ok(arn::name_of(own)),
            _ => self.name_of(Kind::User),
        }
    }

    /// Returns the user that the request names, by default the caller, like [`authorized`](Self::authorized).
    pub(super) fn authorized_user(&mut self) -> Result<&mut Entity, ErrorResponse> {
        let name = self.user_name()?;
        self.authorized_named(Kind::User, name)
    }

    pub(super) fn authorized_named(
        &mut self,
        kind: Kind,
        name: &str,
    ) -> Result<&mut Entity, ErrorResponse> {
        match self.entity(kind, name) {
            Some(entity) => {
                let resource_properties = ResourceProperties {
                    boundary: entity.boundary.as_deref(),
                    tags: &entity.tags,
                };
                self.authorize_action(self.action, &entity.arn, resource_properties)?;
            }
            None => self.authorize(&self.arn(&format!("{}/{name}", kind.word())))?,
        }
        let directory = &mut self.accounts.directory;
        let found = match kind {
            Kind::User => directory
                .users
                .get_mut(self.account, name)
                .map(|user| &mut user.entity),
            Kind::Role => directory
                .roles
                .get_mut(self.account, name)
                .map(|role| &mut role.entity),
            Kind::Group => directory.groups.get_mut(self.account, name),
        };
        found.ok_or_else(|| {
            no_such_entity(format!(
                "The {} with name {name} cannot be found.",
                kind.word()
            ))
        })
    }

    /// Fails unless the caller's policies allow the call on a resource.
    pub(super) fn authorize(&self, resource: &str) -> Result<(), ErrorResponse> {
        self.authorize_action(self.action, resource, ResourceProperties::default())
    }

    /// Fails unless the caller's policies allow the call on a resource with these tags.
    pub(super) fn authorize_tagged(
        &self,
        resource: &str,
        tags: &[(String, String)],
    ) -> Result<(), ErrorResponse> {
        let resource_properties = ResourceProperties {
            boundary: None,
            tags,
        };
        self.authorize_action(self.action, resource, resource_properties)
    }

    /// Fails unless the caller's policies allow the creation of a resource. If it is created with tags, they must also
    /// allow `tag_action`.
    pub(super) fn authorize_creation(
        &self,
        resource: &str,
        tag_action: &str,
    ) -> Result<(), ErrorResponse> {
        self.authorize(resource)?;
        if self.optional("Tags.member.1.Key").is_some() {
            self.authorize_action(tag_action, resource, ResourceProperties::default())?;
        }
        Ok(())
    }

    fn authorize_action(
        &self,
        action: &str,
        resource: &str,
        resource_properties: ResourceProperties<'_>,
    ) -> Result<(), ErrorResponse> {
        let mut request = self
            .caller
            .request(format!("iam:{action}"), resource)
            .complete();
        // The boundary in the request or, without one, that of the entity.
        let boundary = self
            .optional("PermissionsBoundary")
            .or(resource_properties.boundary);
        if let Some(boundary) = boundary.filter(|_| has_boundary_key(action)) {
            request = request.key("iam:PermissionsBoundary", boundary);
        }
        let is_attachment = action.starts_with("Attach") || action.starts_with("Detach");
        if let Some(policy) = self.optional("PolicyArn").filter(|_| is_attachment) {
            request = request.key("iam:PolicyARN", policy);
        }
        let mut tag_keys = self.parameters.list("TagKeys.member");
        for (key, value) in self.parameters.pairs("Tags.member", "Key", "Value") {
            request = request.key(format!("aws:RequestTag/{key}"), value);
            tag_keys.push(key);
        }
        request = request.keys("aws:TagKeys", tag_keys);
        for (key, value) in resource_properties.tags {
            request = request.key(format!("aws:ResourceTag/{key}"), value);
            request = request.key(format!("iam:ResourceTag/{key}"), value);
        }
        if request.is_allowed() {
            return Ok(());
        }
        if let Some(reason) = self.caller.undecided() {
            return Err(ErrorResponse::new(400, "Undecided", reason));
        }
        Err(ErrorResponse::access_denied(request.refusal()))
    }

    /// Applies a change of an entity's policies.
    pub(super) fn apply(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::User => self.accounts.apply_user(self.account, name),
            Kind::Role => self.accounts.apply_role(self.account, name),
            Kind::Group => self.accounts.apply_account(self.account),
        }
    }

    /// Returns the tags in the parameters `Tags.member.…`.
    pub(super) fn tags(&self) -> Result<Vec<(String, String)>, ErrorResponse> {
        let tags = self.parameters.pairs("Tags.member", "Key", "Value");
        check_tags("", &tags)?;
        Ok(tags)
    }

    /// Reads a policy in the request. Explanations refer to it by `name`.
    pub(super) fn read(&self, name: &str, text: &str) -> Result<Document, ErrorResponse> {
        Ok(self.accounts.read_document(name, text)?)
    }

    /// Returns the page of a list that `Marker` and `MaxItems` select, and the elements after it.
    pub(super) fn page(&self, name: &'static str, items: Vec<Element>) -> Answer {
        let (page, end) = self.cut(items)?;
        let mut elements = vec![Element::parent(name, page)];
        elements.extend(end);
        Ok(Some(elements))
    }

    /// Returns the items of a page, and the elements after it.
    pub(super) fn cut<T>(&self, items: Vec<T>) -> Result<(Vec<T>, Vec<Element>), ErrorResponse> {
        let max = match self.optional("MaxItems").map(str::parse) {
            None => 100,
            Some(Ok(max @ 1..=1000)) => max,
            Some(_) => {
                let value = self.optional("MaxItems").unwrap_or_default();
                let rule = "Member must have value between 1 and 1000";
                return Err(violation(&format!("'{value}'"), "MaxItems", rule));
            }
        };
        let start: usize = match self.optional("Marker").map(str::parse) {
            None => 0,
            Some(Ok(start)) => start,
            Some(Err(_)) => return Err(ErrorResponse::validation("Invalid Marker.")),
        };
        let mut rest = items.into_iter().skip(start);
        let page: Vec<T> = rest.by_ref().take(max).collect();
        let is_truncated = rest.next().is_some();
        let mut end = vec![Element::text("IsTruncated", is_truncated.to_string())];
        if is_truncated {
            end.push(Element::text("Marker", (start + max).to_string()));
        }
        Ok((page, end))
    }
}

/// Returns IAM's error for an invalid parameter value, in which the parameter's name starts with a lower-case letter.
pub(super) fn violation(value: &str, parameter: &str, rule: &str) -> ErrorResponse {
    let member = lower_first(parameter);
    ErrorResponse::validation(format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {rule}"
    ))
}

pub(super) fn check_name(parameter: &str, name: &str, max: usize) -> Result<(), ErrorResponse> {
    let value = format!("'{name}'");
    if name.is_empty() {
        let rule = "Member must have length greater than or equal to 1";
        return Err(violation(&value, parameter, rule));
    }
    if name.chars().count() > max {
        let rule = format!("Member must have length less than or equal to {max}");
        return Err(violation(&value, parameter, &rule));
    }
    if !name.chars().all(arn::is_name_character) {
        return Err(ErrorResponse::validation(format!(
            "The specified value for {} is invalid. It must contain only alphanumeric characters and/or \
             the following: +=,.@_-",
            lower_first(parameter)
        )));
    }
    Ok(())
}

pub(super) fn no_such_entity(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(404, "NoSuchEntity", message)
}

pub(super) fn already_exists(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(409, "EntityAlreadyExists", message)
}

pub(super) fn delete_conflict(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(409, "DeleteConflict", message)
}

pub(super) fn limit_exceeded(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(409, "LimitExceeded", message)
}

impl From<IamError> for ErrorResponse {
    fn from(error: IamError) -> Self {
        let status = if error.code() == "LimitExceeded" {
            409
        } else {
            400
        };
        Self::new(status, error.code(), error.message())
    }
}

/// Whether a string is the ARN of a managed policy.
pub(super) fn is_policy_arn(arn: &str) -> bool {
    matches!(arn::split(arn), Some(["arn", _, "iam", "", _, resource]) if resource.starts_with("policy/"))
}
