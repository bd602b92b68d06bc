//! Sets up IAM for a role in one account and whoever assumes it from another, or from the same one.
//!
//! ```text
//! cargo run --example setup_iam --features policy -- --role-profile account-a --caller-profile account-b \
//!     --role-arn arn:aws:iam::222222222222:role/FirehoseWriter --external-id c0ffee \
//!     --caller arn:aws:iam::111111111111:user/orders \
//!     --stream arn:aws:firehose:eu-west-1:222222222222:deliverystream/events
//! ```
//!
//! In the role's account it makes the role with its trust policy, and an inline policy for the stream or
//! bucket; in the caller's, an inline policy of the user or role that lets it assume the role. It reads
//! first and changes only what differs: a second run changes nothing. `--dry-run` changes nothing either,
//! and prints the documents and the AWS CLI's commands for what is to be done. `--undo` removes what it
//! made. A role that it did not make, or made for another caller, it neither changes (but with
//! `--take-over`, which prints the trust policy that is replaced) nor deletes.
//!
//! The profiles are those of administrators: they need, in IAM, the actions of the commands that
//! `--dry-run` prints (with `iam:TagRole`), and to read (`iam:GetRole`, `iam:GetRolePolicy`, `iam:GetUser`,
//! `iam:GetUserPolicy`; to undo also `iam:ListRolePolicies`, `iam:ListAttachedRolePolicies` and
//! `iam:ListInstanceProfilesForRole`).

mod iam;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_role_chain::policy::{Document, HopPolicies, Source};
use aws_role_chain::{Role, RoleChain};
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Parser;

use iam::{Change, Entity};

/// Set up IAM for a role, and for who assumes it.
#[derive(Parser)]
struct Options {
    /// Role to make, with its path if it is to have one
    #[arg(long)]
    role_arn: String,

    /// User or role that is to assume it
    #[arg(long)]
    caller: String,

    /// Firehose stream of the role's account that the role may put records on, by its ARN
    #[arg(long, conflicts_with = "bucket", required_unless_present_any = ["bucket", "undo"])]
    stream: Option<String>,

    /// Bucket that the role may read, by its name or ARN
    #[arg(long)]
    bucket: Option<String>,

    /// What in the bucket: keys that begin so
    #[arg(long, default_value = "", requires = "bucket")]
    prefix: String,

    /// External ID that the caller must pass
    #[arg(long)]
    external_id: Option<String>,

    /// Session tag that the caller must pass; repeatable
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,

    /// Name the caller as the principal itself, not by its account and a condition
    #[arg(long)]
    exact: bool,

    /// Profile of an administrator of the role's account
    #[arg(long)]
    role_profile: String,

    /// Profile of an administrator of the caller's account, if that is another one
    #[arg(long)]
    caller_profile: Option<String>,

    /// Profile of the caller itself, to try the role with; needless where the caller administers
    #[arg(long)]
    try_profile: Option<String>,

    /// Print what is to be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Remove what an earlier run made
    #[arg(long, conflicts_with = "take_over")]
    undo: bool,

    /// Change the role even if something else made it, or this program for another caller
    #[arg(long)]
    take_over: bool,

    /// AWS region, instead of the profiles'
    #[arg(long)]
    region: Option<String>,

    /// One endpoint for all services, such as a local server
    #[arg(long)]
    endpoint_url: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(&options)),
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", iam::explained(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let role_base = base_config(options, &options.role_profile).await;
    let caller_profile = options
        .caller_profile
        .as_ref()
        .unwrap_or(&options.role_profile);
    let caller_base = base_config(options, caller_profile).await;

    // What is asked for says what IAM must allow.
    let chain = RoleChain::new(&caller_base, role(options)?)?;
    let mut source = Source::arn(&options.caller);
    if options.exact {
        source = source.exact();
    }
    let hop = chain.policies(source)?.remove(0);
    if hop.caller == hop.role_arn {
        return Err("--caller must not be --role-arn itself".into());
    }
    let permissions = permissions(options)?;
    if let Some(warning) = hop.size_warning() {
        eprintln!("warning: {warning}");
    }

    let administers = iam::administrator(&role_base, &options.role_profile, &hop.role_arn).await?;
    let role = Entity::new(&role_base, &options.role_profile, &hop.role_arn);
    let administers = match &options.caller_profile {
        Some(profile) => iam::administrator(&caller_base, profile, &hop.caller).await?,
        None => iam::same_account(&administers, caller_profile, &hop.caller)
            .map_err(|error| format!("{error}: give --caller-profile"))?,
    };
    let trying = match &options.try_profile {
        _ if options.undo => None,
        Some(profile) => {
            let base = base_config(options, profile).await;
            let who = iam::identity(&base, profile).await?;
            if !iam::is_session_of(&who, &hop.caller) {
                let why = format!("--try-profile {profile}: is {who}, not {}", hop.caller);
                return Err(why.into());
            }
            Some(base)
        }
        // The administrator may be who is to assume the role.
        None => iam::is_session_of(&administers, &hop.caller).then(|| caller_base.clone()),
    };
    let caller = Entity::new(&caller_base, caller_profile, &hop.caller);

    let (changes, left) = match permissions.as_ref().filter(|_| !options.undo) {
        Some(permissions) => {
            let take_over = options.take_over;
            let changes = set_up(&role, &caller, &hop, permissions, take_over).await?;
            (changes, None)
        }
        None => undo(&role, &caller, &hop).await?,
    };
    if options.dry_run {
        if let (Some(permissions), false) = (&permissions, options.undo) {
            println!("trust policy of {}:\n{}\n", hop.role_arn, hop.trust_policy);
            println!("policy of {}:\n{permissions}\n", hop.role_arn);
            if let Some(permission) = &hop.permission_policy {
                println!("policy of {}:\n{permission}\n", hop.caller);
            }
        }
        for change in &changes {
            println!("{}", change.command());
        }
        println!("to be changed: {}", changes.len());
        return left.map_or(Ok(()), |left| Err(left.into()));
    }
    for change in &changes {
        change.make().await?;
        println!("{}", change.done());
    }
    match changes.len() {
        0 => println!("no change"),
        n => println!("changed: {n}"),
    }
    if options.undo {
        return left.map_or(Ok(()), |left| Err(left.into()));
    }
    match trying {
        Some(base) => try_role(&base, options).await?,
        None => println!(
            "not tried: give the caller's own profile with --try-profile; changes in IAM may take \
             seconds to be seen"
        ),
    }
    println!("role: {}\ncaller: {}", hop.role_arn, hop.caller);
    Ok(())
}

fn role(options: &Options) -> Result<Role, Box<dyn Error>> {
    let mut role = Role::new(&options.role_arn);
    if let Some(id) = &options.external_id {
        role = role.external_id(id);
    }
    for tag in &options.tags {
        let (key, value) = tag
            .split_once('=')
            .ok_or_else(|| format!("--tag {tag}: must be KEY=VALUE"))?;
        role = role.tag(key, value);
    }
    Ok(role)
}

/// What the role may do; for `--undo`, which does not need it, perhaps nothing.
fn permissions(options: &Options) -> Result<Option<Document>, String> {
    // The partition and the account.
    let home = |arn: &str| {
        let mut parts = arn.split(':').skip(1).map(str::to_owned);
        (parts.next(), parts.nth(2))
    };
    let (partition, account) = home(&options.role_arn);
    if let Some(stream) = &options.stream {
        let document = Document::firehose_put(stream);
        let document = document.map_err(|error| format!("--stream: {error}"))?;
        if home(stream) != (partition, account) {
            return Err(format!("--stream {stream}: must be of the role's account"));
        }
        return Ok(Some(document));
    }
    let Some(bucket) = &options.bucket else {
        return Ok(None);
    };
    let arn = match bucket.starts_with("arn:") {
        true => bucket.clone(),
        false => format!("arn:{}:s3:::{bucket}", partition.unwrap_or_default()),
    };
    let document = Document::s3_read(&arn, &options.prefix);
    let document = document.map_err(|error| format!("--bucket or its --prefix: {error}"))?;
    Ok(Some(document))
}

async fn base_config(options: &Options, profile: &str) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).profile_name(profile);
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let config = loader.load().await;
    match config.region() {
        Some(_) => config,
        // IAM is the same in all regions, and STS is in this one for sure.
        None => {
            let region = Region::from_static("us-east-1");
            config.into_builder().region(region).build()
        }
    }
}

/// What must be changed for IAM to be as the documents say.
async fn set_up<'a>(
    role: &'a Entity,
    caller: &'a Entity,
    hop: &'a HopPolicies,
    permissions: &'a Document,
    take_over: bool,
) -> Result<Vec<Change<'a>>, Box<dyn Error>> {
    let mut changes = Vec::new();
    let (trust, name) = (&hop.trust_policy, policy_name(hop));
    let there = role.role().await?;
    match &there {
        None => changes.push(Change::CreateRole(role, trust)),
        Some(there) if !iam::same(&there.trust, trust) => {
            if take_over {
                let (arn, trust) = (&hop.role_arn, &there.trust);
                eprintln!("trust policy of {arn} that is replaced:\n{trust}");
            } else if there.is_ours && !iam::is_for(&there.trust, &hop.caller) {
                let why = format!(
                    "{} is there already, for another caller than {}, who would lose it: to change it \
                     nevertheless, give --take-over; what would be done --dry-run --take-over shows",
                    hop.role_arn, hop.caller
                );
                return Err(why.into());
            }
            changes.push(Change::UpdateTrust(role, trust));
        }
        Some(_) => {}
    }
    let held = match there {
        Some(_) => role.policy(&name).await?,
        None => None,
    };
    if !held.is_some_and(|held| iam::same(&held, permissions)) {
        changes.push(Change::PutPolicy(role, name.clone(), permissions));
    }
    if there.is_some_and(|there| !there.is_ours) && !changes.is_empty() && !take_over {
        let why = format!(
            "{} is there already, and this program did not make it: to change it nevertheless, give \
             --take-over; what would be done --dry-run --take-over shows",
            hop.role_arn
        );
        return Err(why.into());
    }
    caller.must_be_there().await?;
    let held = caller.policy(&name).await?;
    match &hop.permission_policy {
        Some(permission)
            if !held
                .as_ref()
                .is_some_and(|held| iam::same(held, permission)) =>
        {
            changes.push(Change::PutPolicy(caller, name, permission));
        }
        // Of an earlier run that needed one.
        None if held.is_some() => changes.push(Change::DeletePolicy(caller, name)),
        _ => {}
    }
    Ok(changes)
}

/// What must be changed for nothing of this program's to be left, and what is left nevertheless.
async fn undo<'a>(
    role: &'a Entity,
    caller: &'a Entity,
    hop: &HopPolicies,
) -> Result<(Vec<Change<'a>>, Option<String>), Box<dyn Error>> {
    let mut changes = Vec::new();
    let name = policy_name(hop);
    let (arn, for_caller) = (&hop.role_arn, &hop.caller);
    // The caller may be gone.
    if caller.policy(&name).await?.is_some() {
        changes.push(Change::DeletePolicy(caller, name.clone()));
    }
    let Some(there) = role.role().await? else {
        return Ok((changes, None));
    };
    if role.policy(&name).await?.is_some() {
        changes.push(Change::DeletePolicy(role, name.clone()));
    }
    let is_for_caller = iam::is_for(&there.trust, for_caller);
    if !there.is_ours {
        eprintln!("{arn} stays: this program did not make it");
        let left = is_for_caller.then(|| {
            format!(
                "the trust policy of {arn} that lets {for_caller} in remains: give the role, by hand, \
                 the one that it is to have"
            )
        });
        return Ok((changes, left));
    }
    if !is_for_caller {
        let why = format!(
            "the trust policy of {arn} is not for {for_caller} alone: give the --caller that it is for, \
             or, if none is to keep it, delete the role by hand"
        );
        return Err(why.into());
    }
    let mut others = role.policies().await?;
    others.retain(|other| *other != name);
    if !others.is_empty() {
        let others = others.join(", ");
        let why = format!("{arn} has policies that this program did not make: {others}");
        return Err(why.into());
    }
    let holders = role.instance_profiles().await?;
    if !holders.is_empty() {
        let why = format!("{arn} is in instance profiles: {}", holders.join(", "));
        return Err(why.into());
    }
    changes.push(Change::DeleteRole(role));
    Ok((changes, None))
}

/// Of the inline policies on both sides; it tells what an earlier run made.
fn policy_name(hop: &HopPolicies) -> String {
    let name = hop.role_arn.rsplit('/').next().unwrap_or_default();
    format!("setup_iam-{}-{name}", hop.account)
}

/// IAM's changes spread in seconds, and unevenly: one success may be followed by a refusal.
async fn try_role(base: &SdkConfig, options: &Options) -> Result<(), Box<dyn Error>> {
    const IN_A_ROW: u32 = 3;
    const PATIENCE: Duration = Duration::from_secs(90);
    let chain = RoleChain::new(base, role(options)?)?;
    let started = Instant::now();
    let mut successes = 0;
    let mut is_told = false;
    while successes < IN_A_ROW {
        match chain.refresh().await {
            Ok(()) => successes += 1,
            Err(error) if error.is_access_denied() && started.elapsed() < PATIENCE => {
                if !is_told {
                    eprintln!("waiting for IAM, up to {} s", PATIENCE.as_secs());
                }
                (successes, is_told) = (0, true);
            }
            Err(error) => return Err(error.into()),
        }
        if successes < IN_A_ROW {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let seconds = started.elapsed().as_secs();
    println!("works: assumed {IN_A_ROW} times in a row, after {seconds} s");
    Ok(())
}
