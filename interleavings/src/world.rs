//! What a scenario is made of: a cache, whose loads do as the scenario says, its clock, and its callers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use shuttle::rand::{Rng, thread_rng};

use crate::cache::{CredentialsCache, Load, LoadReason, Lookup};
use crate::clock::Clock;
use crate::error::{Error, ErrorInner, ErrorKind, Meaning, Operation, Refusal};
use crate::session::Session;
use crate::sync::{Handle, Plain, locked, yield_now};

/// How long sessions are valid.
pub const LIFETIME: Duration = Duration::from_secs(3600);
/// Nobody waits for a refresh yet, and one is due whatever the jitter.
pub const ADVISORY: Duration = Duration::from_secs(3200);
/// Callers wait for a refresh.
pub const MANDATORY: Duration = Duration::from_secs(3545);

/// How long a load takes, and what it gives in the end.
#[derive(Clone, Copy)]
pub struct Plan {
    takes: Duration,
    gives: Gives,
}

/// What a load gives.
#[derive(Clone, Copy, PartialEq)]
pub enum Gives {
    /// New credentials.
    Session,
    /// An error that the next load may not meet.
    Outage,
    /// An error that a retry does not cure.
    AccessDenied,
    /// Nothing: the provider has a bug.
    Panic,
}

impl Gives {
    /// At once, but for a point where others may run.
    pub fn at_once(self) -> Plan {
        self.after(Duration::ZERO)
    }

    /// After so long.
    pub fn after(self, takes: Duration) -> Plan {
        Plan { takes, gives: self }
    }
}

/// A loader that notes what is asked of it. The n-th load of a cache gives the key `n`.
pub struct Loader {
    clock: Clock,
    plan: fn(u64) -> Plan,
    notes: Plain<Notes>,
}

#[derive(Default)]
struct Notes {
    started: u64,
    /// The loads under way, and their runtimes.
    running: Vec<(u64, Handle)>,
    /// The newest task that gave a session, and its key. Tasks are numbered as the cache starts them; one whose
    /// runtime is driven no more may begin long after.
    newest: Option<(usize, Key)>,
    is_interactive: bool,
    prompts: u64,
    /// When the machine's clock jumped, loads under way may be given up.
    may_overlap: bool,
    /// Noted here, as the cache makes errors of a load's panics.
    violation: Option<String>,
}

impl Load for Loader {
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(async move {
            let running = self.start();
            let plan = (self.plan)(running.id);
            pass_by().await;
            if locked(&self.notes).is_interactive {
                if !reason.has_waiter {
                    return Err(self.error(ErrorKind::InteractionRequired));
                }
                locked(&self.notes).prompts += 1;
            }
            if !plan.takes.is_zero() {
                self.clock.sleep(plan.takes).await;
            }
            pass_by().await;
            match plan.gives {
                Gives::Session => {
                    let mut notes = locked(&self.notes);
                    let this = (shuttle::current::me().into(), running.id);
                    notes.newest = notes.newest.max(Some(this));
                    let expiry = self.clock.now() + LIFETIME;
                    let key = running.id.to_string();
                    Ok(Session::new(key, "secret", "token", expiry, None, None))
                }
                Gives::Outage => Err(self.error(ErrorKind::NoAnswer {
                    what: "no answer".into(),
                })),
                Gives::AccessDenied => Err(self.error(ErrorKind::Refused(Refusal {
                    code: "AccessDenied".into(),
                    message: None,
                    request_id: None,
                    meaning: Meaning::Denied,
                }))),
                // Past the panic hook, which would print the schedule.
                Gives::Panic => std::panic::resume_unwind(Box::new("a provider's own panic")),
            }
        })
    }

    fn is_interactive(&self) -> bool {
        locked(&self.notes).is_interactive
    }

    fn is_loading_in_this_task(&self) -> bool {
        false
    }

    fn error(&self, kind: ErrorKind) -> Error {
        ErrorInner::new(Operation::AssumeRole, kind).into()
    }

    fn is_own(&self, _: &Error) -> bool {
        true
    }
}

impl Loader {
    fn start(&self) -> Running<'_> {
        let mut notes = locked(&self.notes);
        notes.started += 1;
        let id = notes.started;
        // A load whose runtime is driven no more is given up: it may go on late, and even begin late, beside
        // another.
        notes.running.retain(|(_, runtime)| runtime.is_driven());
        if let Ok(runtime) = Handle::try_current()
            && !runtime.was_stalled()
        {
            if let Some((other, _)) = notes.running.first()
                && !notes.may_overlap
            {
                notes.violation = Some(format!("load {id} began beside load {other}"));
            }
            notes.running.push((id, runtime));
        }
        Running { loader: self, id }
    }
}

/// Lets others run, or not: some loads are ready when they are first polled.
async fn pass_by() {
    if thread_rng().r#gen() {
        yield_now().await;
    }
}

struct Running<'a> {
    loader: &'a Loader,
    id: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut notes = locked(&self.loader.notes);
        notes.running.retain(|(id, _)| *id != self.id);
    }
}

/// A cache as the chain uses it.
pub struct Cache(CredentialsCache<Arc<Loader>>);

impl Load for Arc<Loader> {
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Loader::load(self, reason)
    }

    fn is_interactive(&self) -> bool {
        Loader::is_interactive(self)
    }

    fn is_loading_in_this_task(&self) -> bool {
        Loader::is_loading_in_this_task(self)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Loader::error(self, kind)
    }

    fn is_own(&self, error: &Error) -> bool {
        Loader::is_own(self, error)
    }
}

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A key, by the number of the load that gave it.
pub type Key = u64;

impl Cache {
    /// An empty cache; `plan` says what its n-th load does.
    pub fn new(clock: &Clock, plan: fn(u64) -> Plan) -> Self {
        let loader = Arc::new(Loader {
            clock: clock.clone(),
            plan,
            notes: Plain::default(),
        });
        let time = SharedTimeSource::new(clock.clone());
        Self(CredentialsCache::new(
            loader,
            time,
            SharedAsyncSleep::new(clock.clone()),
        ))
    }

    /// A cache with key 1, which nobody was given yet.
    pub async fn warm(clock: &Clock, runtime: &Handle, plan: fn(u64) -> Plan) -> Self {
        let cache = Self::new(clock, plan);
        let refreshed = runtime.spawn({
            let cache = cache.clone();
            async move { cache.refresh().await }
        });
        refreshed
            .join()
            .await
            .expect("it is not aborted")
            .expect("the first load gives a session");
        runtime.idle().await;
        cache
    }

    /// What a signed request does.
    pub async fn call(self) -> Result<Key, Error> {
        match self.lookup() {
            Some(result) => result,
            None => key(self.0.get_or_load(LoadReason::ON_DEMAND).await),
        }
    }

    /// What a request does that need not wait.
    pub fn lookup(&self) -> Option<Result<Key, Error>> {
        match self.0.lookup(|session| session.credentials.clone()) {
            Lookup::Ready(result) => Some(key(result)),
            Lookup::Miss => None,
        }
    }

    /// Forces a load.
    pub async fn refresh(self) -> Result<(), Error> {
        self.0.refresh().await
    }

    /// Asks for a session that stays valid for so long.
    pub async fn valid_for(self, min: Duration) -> Result<Key, Error> {
        key(self.0.get_valid_for(min).await)
    }

    /// What a chain's child does with a session that STS has rejected.
    pub async fn replace(self, rejected: Key) -> Option<Result<Key, Error>> {
        let rejected = rejected.to_string();
        let replaced = self.0.replace(&rejected, LoadReason::ON_DEMAND).await;
        replaced.map(key)
    }

    /// Marks a session that STS has rejected.
    pub fn invalidate(&self, rejected: Key) -> bool {
        self.0.invalidate(&rejected.to_string())
    }

    /// The time until the next refresh.
    pub fn due_in(&self, clock: &Clock) -> Option<Duration> {
        let due = self.0.snapshot().next_refresh?;
        Some(due.duration_since(clock.now()).unwrap_or_default())
    }

    /// The key that is cached and not due.
    pub fn fresh(&self) -> Option<Key> {
        if !self.0.is_usable() {
            return None;
        }
        key(Ok(self.0.cached()?)).ok()
    }

    /// Asks a person at each load from now on, or nobody.
    pub fn set_interactive(&self, is_interactive: bool) {
        locked(&self.loader().notes).is_interactive = is_interactive;
    }

    /// What is known of the loads.
    pub fn loader(&self) -> Arc<Loader> {
        self.0.loader().clone()
    }
}

fn key(result: Result<Credentials, Error>) -> Result<Key, Error> {
    result.map(|credentials| {
        let key = credentials.access_key_id().parse();
        key.expect("the loader's keys are numbers")
    })
}

impl Loader {
    /// Lets loads begin beside another: the machine was suspended.
    pub fn may_overlap(&self) {
        locked(&self.notes).may_overlap = true;
    }

    /// The number of loads so far, none of which began beside another.
    pub fn loads(&self) -> u64 {
        let notes = locked(&self.notes);
        if let Some(violation) = &notes.violation {
            panic!("{violation}");
        }
        notes.started
    }

    /// The key of the newest load that gave one.
    pub fn newest(&self) -> Option<Key> {
        let (_, key) = locked(&self.notes).newest?;
        Some(key)
    }

    /// How many times a person was asked.
    pub fn prompts(&self) -> u64 {
        locked(&self.notes).prompts
    }
}
