//! The plan: the changes that turn the current state of IAM into the desired one. Makes no calls.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::policy_json::PolicyJson;

/// The current state of IAM.
#[derive(Default)]
pub struct State {
    pub role: Option<RoleState>,
    pub caller_exists: bool,
    /// The caller's inline policy that this program created.
    pub caller_policy: Option<String>,
}

#[derive(Default)]
pub struct RoleState {
    pub trust: String,
    /// Whether it has the tag of roles that this program created.
    pub is_ours: bool,
    /// The role's inline policy that this program created.
    pub policy: Option<String>,
    /// The names of all its inline policies; read only to undo.
    pub inline: Vec<String>,
    /// The ARNs of its managed policies.
    pub attached: Vec<String>,
    /// The names of the instance profiles that contain it, which prevent its deletion; read only to undo.
    pub instance_profiles: Vec<String>,
}

/// The desired state of IAM.
pub struct Target {
    pub role_arn: String,
    pub caller: String,
    /// The name of the inline policies of role and caller, by which a later run finds them.
    pub policy_name: String,
    pub trust: PolicyJson,
    /// The role's permissions. None leaves them unchanged.
    pub permissions: Option<PolicyJson>,
    /// The permission that the caller needs, unless the trust policy suffices.
    pub caller_permission: Option<PolicyJson>,
    /// The ARNs of the managed policies to attach, or to detach when undoing.
    pub attach: Vec<String>,
    pub take_over: bool,
}

#[derive(Debug, PartialEq)]
pub enum Change {
    CreateRole { trust: PolicyJson },
    UpdateTrust { trust: PolicyJson },
    PutPolicy(Side, PolicyJson),
    DeletePolicy(Side),
    AttachPolicy(String),
    DetachPolicy(String),
    DeleteRole,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    Role,
    Caller,
}

#[derive(Debug, Default)]
pub struct Plan {
    /// In the order in which they must be made.
    pub changes: Vec<Change>,
    /// What the user should know about the changes.
    pub notes: Vec<String>,
    /// What an undo leaves for the user to decide.
    pub remains: Option<String>,
}

impl Plan {
    /// Returns the changes that create the target.
    pub fn set_up(state: &State, target: &Target) -> Result<Self> {
        let mut plan = Self::default();
        plan.set_up_role(state.role.as_ref(), target)?;
        if !state.caller_exists {
            bail!(
                "--caller {}: there is no user or role with this path and name",
                target.caller
            );
        }
        match (&target.caller_permission, &state.caller_policy) {
            (Some(wanted), Some(held)) if wanted.is_same_as(held) => {}
            (Some(wanted), _) if target.caller.contains(":role/aws-reserved/") => {
                plan.notes.push(format!(
                    "{}: only IAM Identity Center can change this role. Its permission set must allow what \
                     this policy allows:\n{}",
                    target.caller, wanted.pretty
                ));
            }
            (Some(wanted), _) => plan
                .changes
                .push(Change::PutPolicy(Side::Caller, wanted.clone())),
            // An earlier run created it, with options that required one.
            (None, Some(_)) => plan.changes.push(Change::DeletePolicy(Side::Caller)),
            (None, None) => {}
        }
        Ok(plan)
    }

    fn set_up_role(&mut self, role: Option<&RoleState>, target: &Target) -> Result<()> {
        let (arn, trust) = (&target.role_arn, target.trust.clone());
        match role {
            None => self.changes.push(Change::CreateRole { trust }),
            Some(role) if !trust.is_same_as(&role.trust) => {
                if target.take_over {
                    let note = format!(
                        "the trust policy of {arn} is replaced. It was:\n{}",
                        role.trust
                    );
                    self.notes.push(note);
                } else if role.is_ours && !is_for(&role.trust, &target.caller) {
                    bail!(
                        "{arn} already exists for a caller other than {}, which would lose access: to \
                         change it anyway, use --take-over; to see the changes first, use --dry-run \
                         --take-over",
                        target.caller
                    );
                }
                self.changes.push(Change::UpdateTrust { trust });
            }
            Some(_) => {}
        }
        if let Some(wanted) = &target.permissions {
            let held = role.and_then(|role| role.policy.as_ref());
            if !held.is_some_and(|held| wanted.is_same_as(held)) {
                self.changes
                    .push(Change::PutPolicy(Side::Role, wanted.clone()));
            }
        }
        let is_attached = |policy: &String| role.is_some_and(|role| role.attached.contains(policy));
        let missing = target.attach.iter().filter(|policy| !is_attached(policy));
        self.changes
            .extend(missing.cloned().map(Change::AttachPolicy));
        let is_foreign = role.is_some_and(|role| !role.is_ours);
        if is_foreign && !self.changes.is_empty() && !target.take_over {
            bail!(
                "{arn} already exists, and this program did not create it: to change it anyway, use \
                 --take-over; to see the changes first, use --dry-run --take-over"
            );
        }
        Ok(())
    }

    /// Returns the changes that remove what this program created.
    pub fn undo(state: &State, target: &Target) -> Result<Self> {
        let mut plan = Self::default();
        let (arn, caller) = (&target.role_arn, &target.caller);
        if state.caller_policy.is_some() {
            plan.changes.push(Change::DeletePolicy(Side::Caller));
        }
        let Some(role) = &state.role else {
            return Ok(plan);
        };
        if role.policy.is_some() {
            plan.changes.push(Change::DeletePolicy(Side::Role));
        }
        let given = |policy: &&String| target.attach.contains(policy);
        let detached = role.attached.iter().filter(given).cloned();
        plan.changes.extend(detached.map(Change::DetachPolicy));

        let is_for_caller = is_for(&role.trust, caller);
        if !role.is_ours {
            plan.notes.push(format!(
                "{arn} is not deleted: this program did not create it"
            ));
            plan.remains = is_for_caller.then(|| {
                format!(
                    "the trust policy of {arn} still lets {caller} assume the role: replace the policy \
                     by hand"
                )
            });
            return Ok(plan);
        }
        if !is_for_caller {
            bail!(
                "the trust policy of {arn} is not for {caller} alone: use the --caller that it is for or, \
                 if no caller needs the role any more, delete it by hand"
            );
        }
        let inline = role
            .inline
            .iter()
            .filter(|name| **name != target.policy_name);
        let inline: Vec<_> = inline.cloned().collect();
        if !inline.is_empty() {
            bail!(
                "{arn} has policies that this program did not create: {}",
                inline.join(", ")
            );
        }
        let attached = role.attached.iter().filter(|policy| !given(policy));
        let attached: Vec<_> = attached.cloned().collect();
        if !attached.is_empty() {
            bail!(
                "{arn} has managed policies: use --attach-policy-arn for each that is to be detached: {}",
                attached.join(", ")
            );
        }
        if !role.instance_profiles.is_empty() {
            let names = role.instance_profiles.join(", ");
            bail!("{arn} cannot be deleted while it is in instance profiles: {names}");
        }
        plan.changes.push(Change::DeleteRole);
        Ok(plan)
    }
}

/// Returns whether a trust policy is for this user or role only, in the form that this program writes: its principal is
/// the caller, or the caller's account with a condition.
fn is_for(trust: &str, caller: &str) -> bool {
    let account = caller.splitn(6, ':').take(5).collect::<Vec<_>>().join(":");
    let [itself, account] = [caller, &format!("{account}:root")].map(|arn| json!({"AWS": arn}));
    let names_it = |statement: &Value| {
        let condition = &statement["Condition"]["ArnEquals"]["aws:PrincipalArn"];
        let principal = &statement["Principal"];
        *principal == itself || *principal == account && condition == caller
    };
    let trust: Value = serde_json::from_str(trust).unwrap_or_default();
    let statements = trust["Statement"].as_array();
    statements.is_some_and(|statements| !statements.is_empty() && statements.iter().all(names_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::222222222222:role/Writer";
    const CALLER: &str = "arn:aws:iam::111111111111:user/orders";
    const MANAGED: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

    fn policy(json: &str) -> PolicyJson {
        PolicyJson::parse(json).unwrap()
    }

    fn trust_of(principal: &str) -> String {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Action": "sts:AssumeRole"}}]}}"#
        )
    }

    fn target() -> Target {
        Target {
            role_arn: ROLE.to_owned(),
            caller: CALLER.to_owned(),
            policy_name: "ours".to_owned(),
            trust: policy(&trust_of(CALLER)),
            permissions: None,
            caller_permission: Some(policy(r#"{"Statement": []}"#)),
            attach: vec![MANAGED.to_owned()],
            take_over: false,
        }
    }

    /// The state after the target was set up.
    fn made() -> State {
        State {
            role: Some(RoleState {
                trust: trust_of(CALLER),
                is_ours: true,
                attached: vec![MANAGED.to_owned()],
                ..RoleState::default()
            }),
            caller_exists: true,
            caller_policy: Some(r#"{"Statement":[]}"#.to_owned()),
        }
    }

    fn changes(state: &State, target: &Target) -> Vec<&'static str> {
        let plan = Plan::set_up(state, target).unwrap();
        plan.changes.iter().map(name).collect()
    }

    fn name(change: &Change) -> &'static str {
        match change {
            Change::CreateRole { .. } => "create",
            Change::UpdateTrust { .. } => "trust",
            Change::PutPolicy(Side::Role, _) => "put role",
            Change::PutPolicy(Side::Caller, _) => "put caller",
            Change::DeletePolicy(Side::Role) => "delete role's",
            Change::DeletePolicy(Side::Caller) => "delete caller's",
            Change::AttachPolicy(_) => "attach",
            Change::DetachPolicy(_) => "detach",
            Change::DeleteRole => "delete role",
        }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let nothing = State {
            caller_exists: true,
            ..State::default()
        };
        assert_eq!(
            changes(&nothing, &target()),
            ["create", "attach", "put caller"]
        );
        assert!(changes(&made(), &target()).is_empty());

        let mut with_permissions = target();
        with_permissions.permissions = Some(policy(r#"{"Statement": [1]}"#));
        assert_eq!(changes(&made(), &with_permissions), ["put role"]);

        let mut no_permission = target();
        no_permission.caller_permission = None;
        assert_eq!(changes(&made(), &no_permission), ["delete caller's"]);

        let mut other_trust = target();
        other_trust.trust = policy(&trust_of("arn:aws:iam::111111111111:root"));
        assert_eq!(changes(&made(), &other_trust), ["trust"]);
    }

    #[test]
    fn what_a_role_of_iam_identity_center_needs_is_told_and_not_tried() {
        let mut target = target();
        target.caller = format!(
            "{}AWSReservedSSO_Dev_ab12",
            "arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/"
        );
        let nothing = State {
            caller_exists: true,
            ..State::default()
        };
        assert_eq!(changes(&nothing, &target), ["create", "attach"]);
        let plan = Plan::set_up(&nothing, &target).unwrap();
        let [note] = &plan.notes[..] else {
            panic!("{:?}", plan.notes);
        };
        assert!(note.contains(&target.caller) && note.ends_with(r#"{"Statement": []}"#));

        target.caller_permission = None;
        assert!(Plan::set_up(&nothing, &target).unwrap().notes.is_empty());
    }

    #[test]
    fn without_permissions_those_of_the_role_are_left() {
        let mut state = made();
        state.role.as_mut().unwrap().policy = Some("{}".to_owned());
        assert!(changes(&state, &target()).is_empty());
    }

    #[test]
    fn what_others_rely_on_is_refused() {
        let mut foreign = made();
        foreign.role.as_mut().unwrap().is_ours = false;
        // The role needs no change.
        assert!(changes(&foreign, &target()).is_empty());
        foreign.role.as_mut().unwrap().attached.clear();
        assert!(Plan::set_up(&foreign, &target()).is_err());

        let mut for_another = made();
        for_another.role.as_mut().unwrap().trust = trust_of("arn:aws:iam::111111111111:user/x");
        assert!(Plan::set_up(&for_another, &target()).is_err());
        assert!(Plan::undo(&for_another, &target()).is_err());
        let mut take_over = target();
        take_over.take_over = true;
        let plan = Plan::set_up(&for_another, &take_over).unwrap();
        assert!(plan.notes[0].contains("user/x"));

        let mut no_caller = made();
        no_caller.caller_exists = false;
        assert!(Plan::set_up(&no_caller, &target()).is_err());
    }

    #[test]
    fn undo_removes_what_was_made_and_refuses_where_more_is_there() {
        let plan = Plan::undo(&made(), &target()).unwrap();
        let undone: Vec<_> = plan.changes.iter().map(name).collect();
        assert_eq!(undone, ["delete caller's", "detach", "delete role"]);

        let mut not_given = target();
        not_given.attach.clear();
        let error = Plan::undo(&made(), &not_given).unwrap_err().to_string();
        assert!(error.contains(MANAGED), "{error}");

        let mut held = made();
        held.role
            .as_mut()
            .unwrap()
            .instance_profiles
            .push("web".to_owned());
        assert!(Plan::undo(&held, &target()).is_err());
        let mut more = made();
        more.role.as_mut().unwrap().inline.push("theirs".to_owned());
        assert!(Plan::undo(&more, &target()).is_err());
    }
}
