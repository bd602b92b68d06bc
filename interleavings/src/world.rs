//! The parts of a scenario: a cache with loads that follow a plan, its clock, and its callers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use shuttle::rand::{Rng, thread_rng};

use crate::cache::{CredentialsCache, Load, LoadReason, Requester};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Meaning, Operation, Refusal, Step};
use crate::session::Session;
use crate::sync::{Handle, Plain, locked, yield_now};

/// The lifetime of sessions.
pub const LIFETIME: Duration = Duration::from_secs(3600);
/// The age of a session at which a refresh is due whatever the jitter, but callers do not wait for it yet.
pub const ADVISORY: Duration = Duration::from_secs(3200);
/// The age of a session at which callers wait for a refresh.
pub const MANDATORY: Duration = Duration::from_secs(3545);

/// How long a load takes, and what its result is.
#[derive(Clone, Copy)]
pub struct Plan {
    takes: Duration,
    gives: Gives,
}

/// The result of a load.
#[derive(Clone, Copy, PartialEq)]
pub enum Gives {
    /// New credentials.
    Session,
    /// A transient error.
    Outage,
    /// An error that is not transient.
    AccessDenied,
    /// A panic, as from a bug in a provider.
    Panic,
}

impl Gives {
    /// Creates a plan for this result at once, except that other tasks may run first.
    pub fn at_once(self) -> Plan {
        self.after(Duration::ZERO)
    }

    /// Creates a plan for this result after a delay.
    pub fn after(self, takes: Duration) -> Plan {
        Plan { takes, gives: self }
    }
}

/// A loader that records its loads. The n-th load of a cache returns the key `n`.
pub struct Loader {
    clock: Clock,
    plan: fn(u64) -> Plan,
    notes: Plain<Notes>,
}

#[derive(Default)]
struct Notes {
    started: u64,
    /// The loads in flight, and their runtimes.
    running: Vec<(u64, Handle)>,
    /// The newest task that returned a session, and its key. Tasks are numbered in the order in which the cache spawns
    /// them, because a load on a stalled runtime may start much later.
    newest: Option<(usize, Key)>,
    is_interactive: bool,
    prompts: u64,
    /// Whether loads may overlap: when the clock jumps, loads in flight may count as abandoned.
    may_overlap: bool,
    /// Recorded instead of a panic, because the cache turns panics in a load into errors.
    violation: Option<String>,
}

impl Load for Arc<Loader> {
    fn load(
        &self,
        reason: LoadReason,
    ) -> Pin<Box<dyn Future<Output = Result<Session, Error>> + Send + '_>> {
        Box::pin(async move {
            let running = self.start();
            let plan = (self.plan)(running.id);
            pass_by().await;
            if locked(&self.notes).is_interactive {
                if !reason.has_waiter() {
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
                // Bypasses the panic hook, which would print the schedule.
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
        Step::from(Operation::AssumeRole).failed(kind).into()
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
        // A load whose runtime is no longer polled counts as abandoned: it may continue late, or even start late, while
        // another is in flight.
        notes.running.retain(|(_, runtime)| runtime.is_running());
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

/// Yields to other tasks at random, because some loads are ready when they are first polled.
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

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A session's key: the number of the load that returned it.
pub type Key = u64;

impl Cache {
    /// Creates an empty cache; `plan` returns the plan of its n-th load.
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

    /// Creates a cache with key 1, which has not been served yet.
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

    /// Gets credentials as a signed request does.
    pub async fn call(self) -> Result<Key, Error> {
        match self.lookup() {
            Some(result) => result,
            None => key(self.0.get_or_load(Requester::Caller).await),
        }
    }

    /// Gets credentials without waiting; `None` if a caller would have to wait.
    pub fn lookup(&self) -> Option<Result<Key, Error>> {
        self.0
            .lookup(|session| session.credentials.clone())
            .map(key)
    }

    /// Forces a load.
    pub async fn refresh(self) -> Result<(), Error> {
        self.0.refresh().await
    }

    /// Gets a session that stays valid for at least `min`.
    pub async fn valid_for(self, min: Duration) -> Result<Key, Error> {
        key(self.0.get_valid_for(min).await)
    }

    /// Replaces a session that STS has rejected, as the next hop does.
    pub async fn replace(self, rejected: Key) -> Option<Result<Key, Error>> {
        let rejected = rejected.to_string();
        let replaced = self.0.replace(&rejected, Requester::Caller).await;
        replaced.map(key)
    }

    /// Marks a session as rejected by STS.
    pub fn invalidate(&self, rejected: Key) -> bool {
        self.0.invalidate(&rejected.to_string())
    }

    /// Returns the time until the next refresh.
    pub fn due_in(&self, clock: &Clock) -> Option<Duration> {
        let due = self.0.snapshot().next_refresh?;
        Some(due.duration_since(clock.now()).unwrap_or_default())
    }

    /// Returns the cached key, unless callers would wait for its refresh.
    pub fn fresh(&self) -> Option<Key> {
        if !self.0.is_usable() {
            return None;
        }
        key(Ok(self.0.cached()?)).ok()
    }

    /// Sets whether loads ask a person from now on.
    pub fn set_interactive(&self, is_interactive: bool) {
        locked(&self.loader().notes).is_interactive = is_interactive;
    }

    /// Returns the loader, with what it recorded.
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
    /// Allows loads to overlap from now on, as they may after the machine was suspended.
    pub fn may_overlap(&self) {
        locked(&self.notes).may_overlap = true;
    }

    /// Returns the number of loads so far. Panics if two of them overlapped.
    pub fn loads(&self) -> u64 {
        let notes = locked(&self.notes);
        if let Some(violation) = &notes.violation {
            panic!("{violation}");
        }
        notes.started
    }

    /// Returns the key of the newest load that returned one.
    pub fn newest(&self) -> Option<Key> {
        let (_, key) = locked(&self.notes).newest?;
        Some(key)
    }

    /// Returns how often a person was asked.
    pub fn prompts(&self) -> u64 {
        locked(&self.notes).prompts
    }
}
