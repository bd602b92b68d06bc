//! `setup-iam`: creates a role, and lets a caller assume it. It looks up the identities of its profiles, reads the
//! current state from IAM, plans and makes the changes, and tests the role.

mod iam;
mod identity;
mod plan;
mod policy_json;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use aws_role_chain::policy::{Document, HopPolicies, Principal};
use aws_role_chain::{Role, RoleChain};
use aws_types::SdkConfig;
use clap::{ArgGroup, Args};

use crate::base::{Overrides, ProfileOption, offline_config, partition_and_account};
use crate::{output, values};
use iam::{Entity, Iam};
use identity::Identity;
use plan::{Plan, Target};
use policy_json::PolicyJson;

/// Set up IAM for a role and its caller, in the same account or in two accounts.
///
/// In the role's account, creates the role with its trust policy and, if requested, its permissions; in
/// the caller's account, an inline policy that lets the caller assume the role. Checks that the profiles
/// belong to these accounts, reads the current state, and changes only what differs, so a second run
/// changes nothing. A role that this program did not create, or created for another caller, is changed
/// only with --take-over, and never deleted. If the caller is a role of IAM Identity Center, which cannot
/// be changed in IAM, prints the policy that it needs.
///
/// The profiles must belong to administrators. They need the IAM actions that --dry-run prints, and
/// TagRole. To read the current state, they need GetRole, GetRolePolicy, GetUser and GetUserPolicy; for
/// managed policies, ListAttachedRolePolicies; for --undo, ListAttachedRolePolicies, ListRolePolicies and
/// ListInstanceProfilesForRole.
#[derive(Args)]
#[command(group(ArgGroup::new("permissions").args(["trust_only", "stream", "bucket", "permissions_file"])))]
pub struct Options {
    /// Role to create, including its path if it has one
    #[arg(long, value_name = "ARN", value_parser = values::non_empty)]
    role_arn: String,

    /// User or role that assumes it
    #[arg(long, value_name = "ARN", value_parser = values::non_empty)]
    caller: String,

    /// Set up who may assume the role, and leave its permissions unchanged; the same as using none of the
    /// next five options
    #[arg(long, conflicts_with = "attach_policy_arn")]
    trust_only: bool,

    /// Firehose stream in the role's account that the role may put records on
    #[arg(long, value_name = "ARN", value_parser = values::non_empty)]
    stream: Option<String>,

    /// Name or ARN of the bucket that the role may read
    #[arg(long, value_name = "BUCKET", value_parser = values::non_empty)]
    bucket: Option<String>,

    /// Prefix of the keys in the bucket that the role may read
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        requires = "bucket"
    )]
    prefix: String,

    /// Policy document (JSON) with the role's permissions
    #[arg(long, value_name = "FILE")]
    permissions_file: Option<PathBuf>,

    /// Managed policy to attach to the role or, with --undo, to detach from it; repeatable
    #[arg(long, value_name = "ARN", value_parser = managed_policy)]
    attach_policy_arn: Vec<String>,

    /// External ID that the caller must pass
    #[arg(long, value_name = "ID", value_parser = values::non_empty)]
    external_id: Option<String>,

    /// Session tag that the caller must pass; repeatable
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = values::key_value)]
    tags: Vec<(String, String)>,

    /// Use the caller's ARN as the principal, instead of its account and a condition
    #[arg(long)]
    exact: bool,

    /// Profile of an administrator of the role's account
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    role_profile: String,

    /// Profile of an administrator of the caller's account, if that is another account
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    caller_profile: Option<String>,

    /// Profile of the caller, to test the role with; not needed if the caller is the administrator
    #[arg(long, value_name = "NAME", value_parser = values::non_empty)]
    try_profile: Option<String>,

    /// Print the policies and the AWS CLI commands for the changes, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Remove what an earlier run created; use the same profiles, role, caller and managed policies
    #[arg(long, conflicts_with = "take_over")]
    undo: bool,

    /// Change the role even if this program did not create it, or created it for another caller; prints
    /// the trust policy that is replaced
    #[arg(long)]
    take_over: bool,

    #[command(flatten)]
    overrides: Overrides,
}

/// The administrators of both accounts, and the caller's config if the role can be tested.
struct Sides<'a> {
    role: Identity<'a>,
    /// None if the role's administrator is also the caller's.
    caller: Option<Identity<'a>>,
    trying: Option<SdkConfig>,
}

pub async fn run(options: &Options) -> Result<()> {
    let hop = options.policies()?;
    let target = options.target(&hop)?;
    let sides = Sides::identify(options, &hop).await?;
    let iam = Iam {
        role: Entity::new(&sides.role, &hop.role_arn),
        caller: Entity::new(sides.caller.as_ref().unwrap_or(&sides.role), &hop.caller),
        policy_name: target.policy_name.clone(),
    };

    let plan = if options.undo {
        Plan::undo(&iam.read_to_undo().await?, &target)?
    } else {
        let state = iam.read_to_set_up(!target.attach.is_empty()).await?;
        Plan::set_up(&state, &target)?
    };
    for note in &plan.notes {
        output::note(note);
    }
    if options.dry_run {
        print_plan(options, &iam, &target, &plan)?;
        return plan.remains.map_or(Ok(()), |remains| Err(anyhow!(remains)));
    }
    for change in &plan.changes {
        iam.apply(change).await?;
        output::print(&format!("{}\n", iam.done(change)))?;
    }
    output::print(&match plan.changes.len() {
        0 => "no change\n".to_owned(),
        n => format!("changed: {n}\n"),
    })?;
    if let Some(remains) = plan.remains {
        bail!(remains);
    }
    if options.undo {
        return Ok(());
    }
    match sides.trying {
        Some(config) => try_role(&config, options.role()).await?,
        None => output::print(
            "not tested: to test the role, use --try-profile with the caller's profile;\n\
             changes in IAM may take seconds to take effect\n",
        )?,
    }
    output::print(&format!("role: {}\ncaller: {}\n", hop.role_arn, hop.caller))
}

impl Options {
    /// Returns the policies that let the caller assume the role as the options describe.
    fn policies(&self) -> Result<HopPolicies> {
        let chain = RoleChain::new(&offline_config(), self.role())?;
        let mut source = Principal::arn(&self.caller);
        if self.exact {
            source = source.exact();
        }
        let hop = chain.policies(source)?.remove(0);
        if hop.caller == hop.role_arn {
            bail!("--caller must not be --role-arn itself");
        }
        Ok(hop)
    }

    fn role(&self) -> Role {
        let mut role = Role::new(&self.role_arn);
        if let Some(id) = &self.external_id {
            role = role.external_id(id);
        }
        for (key, value) in &self.tags {
            role = role.tag(key, value);
        }
        role
    }

    fn target(&self, hop: &HopPolicies) -> Result<Target> {
        let role_name = hop.role_arn.rsplit('/').next().unwrap_or_default();
        let (partition, account) = partition_and_account(&hop.role_arn);
        for policy in &self.attach_policy_arn {
            if ![(partition, account), (partition, "aws")].contains(&partition_and_account(policy))
            {
                bail!(
                    "--attach-policy-arn {policy}: must be an AWS managed policy, or one of the role's account"
                );
            }
        }
        Ok(Target {
            role_arn: hop.role_arn.clone(),
            caller: hop.caller.clone(),
            policy_name: format!("role-chain-{}-{role_name}", hop.account),
            trust: PolicyJson::from(&hop.trust_policy),
            permissions: self.permissions()?,
            caller_permission: hop.permission_policy.as_ref().map(PolicyJson::from),
            attach: self.attach_policy_arn.clone(),
            take_over: self.take_over,
        })
    }

    /// Returns the policy with the role's permissions, if the options ask for one.
    fn permissions(&self) -> Result<Option<PolicyJson>> {
        let (partition, account) = partition_and_account(&self.role_arn);
        let document = if let Some(stream) = &self.stream {
            let document = Document::firehose_put(stream).context("--stream")?;
            if partition_and_account(stream) != (partition, account) {
                bail!("--stream {stream}: must be in the role's account");
            }
            PolicyJson::from(&document)
        } else if let Some(bucket) = &self.bucket {
            let arn = if bucket.starts_with("arn:") {
                bucket.clone()
            } else {
                format!("arn:{partition}:s3:::{bucket}")
            };
            let document = Document::s3_read(&arn, &self.prefix);
            let document = document.context("--bucket or --prefix")?;
            if partition_and_account(&arn).0 != partition {
                bail!("--bucket {bucket}: must be in the role's partition");
            }
            PolicyJson::from(&document)
        } else if let Some(file) = &self.permissions_file {
            let name = || format!("--permissions-file {}", file.display());
            let text = std::fs::read_to_string(file).with_context(name)?;
            PolicyJson::parse(&text).with_context(name)?
        } else {
            return Ok(None);
        };
        Ok(Some(document))
    }
}

impl<'a> Sides<'a> {
    /// Looks up the identities of both administrators, and of the caller if it has a profile. Returns an error if one
    /// is not what it should be.
    async fn identify(options: &'a Options, hop: &HopPolicies) -> Result<Self> {
        let load = async |option, name: &'a str| -> Result<(ProfileOption<'a>, SdkConfig)> {
            let profile = ProfileOption { option, name };
            let (partition, _) = partition_and_account(&hop.role_arn);
            let base = profile.load(&options.overrides, false).await?;
            let config = base.sdk_config(partition);
            // Checks the region and the endpoint, because the SDK's errors do not name them.
            RoleChain::new(&config, options.role()).with_context(|| profile.to_string())?;
            Ok((profile, config))
        };
        // All profiles are loaded before the first call, so that the error about a missing one comes first.
        let (role_profile, role) = load("--role-profile", &options.role_profile).await?;
        let caller = match &options.caller_profile {
            Some(name) => Some(load("--caller-profile", name).await?),
            None => None,
        };
        let trying = match &options.try_profile {
            Some(name) if !options.undo => Some(load("--try-profile", name).await?),
            _ => None,
        };

        let role = Identity::look_up(role_profile, role).await?;
        let caller = match caller {
            Some((profile, config)) => Some(Identity::look_up(profile, config).await?),
            None => None,
        };
        let caller_side = caller.as_ref().unwrap_or(&role);
        output::print(&format!(
            "identity for the role's account: {}\nidentity for the caller's account: {}\n",
            role.arn, caller_side.arn
        ))?;
        role.check_account(&hop.role_arn)?;
        let is_callers = caller_side.check_account(&hop.caller);
        if caller.is_none() {
            is_callers
                .context("use --caller-profile for an administrator of the caller's account")?;
        } else {
            is_callers?;
        }
        let trying = match trying {
            Some((profile, config)) => {
                let identity = Identity::look_up(profile, config).await?;
                if !identity.is_session_of(&hop.caller) {
                    bail!("{profile} is {}, not {}", identity.arn, hop.caller);
                }
                Some(identity.config)
            }
            // The administrator may be the caller.
            None if caller_side.is_session_of(&hop.caller) => Some(caller_side.config.clone()),
            None => None,
        };
        Ok(Self {
            role,
            caller,
            trying,
        })
    }
}

fn print_plan(options: &Options, iam: &Iam, target: &Target, plan: &Plan) -> Result<()> {
    let mut text = String::new();
    if !options.undo {
        let (role, caller) = (&target.role_arn, &target.caller);
        text += &format!("trust policy of {role}:\n{}\n\n", target.trust.pretty);
        if let Some(permissions) = &target.permissions {
            text += &format!("policy of {role}:\n{}\n\n", permissions.pretty);
        }
        if let Some(permission) = &target.caller_permission {
            text += &format!("policy of {caller}:\n{}\n\n", permission.pretty);
        }
    }
    for change in &plan.changes {
        text += &format!("{}\n", iam.command(change));
    }
    output::print(&format!("{text}to be changed: {}\n", plan.changes.len()))
}

fn managed_policy(value: &str) -> Result<String, String> {
    let parts: Vec<_> = value.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "iam", "", _, policy] if policy.starts_with("policy/") => Ok(value.to_owned()),
        _ => Err("must be the ARN of a managed policy, such as \
                  arn:aws:iam::aws:policy/ReadOnlyAccess"
            .to_owned()),
    }
}

/// Assumes the role until that succeeds several times in a row: changes in IAM take seconds to propagate, and not at
/// the same time everywhere, so a denial may follow a success.
async fn try_role(config: &SdkConfig, role: Role) -> Result<()> {
    const IN_A_ROW: u32 = 3;
    const MAX_WAIT: Duration = Duration::from_secs(90);
    let chain = RoleChain::new(config, role)?;
    let started = Instant::now();
    let mut successes = 0;
    let mut is_reported = false;
    while successes < IN_A_ROW {
        match chain.refresh().await {
            Ok(()) => successes += 1,
            Err(error) if error.is_access_denied() && started.elapsed() < MAX_WAIT => {
                if !is_reported {
                    output::note(&format!(
                        "waiting up to {} s for the changes in IAM to take effect",
                        MAX_WAIT.as_secs()
                    ));
                }
                (successes, is_reported) = (0, true);
            }
            Err(error) => return Err(error.into()),
        }
        if successes < IN_A_ROW {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let seconds = started.elapsed().as_secs();
    output::print(&format!(
        "works: assumed {IN_A_ROW} times in a row, after {seconds} s\n"
    ))
}
