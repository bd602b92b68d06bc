//! The counterpart of aws-role-chain's `src/sync.rs`, built on the scheduler's primitives: at each operation, another
//! task may run instead.

use std::cell::RefCell;
use std::future::Future;
use std::mem::take;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::sync::atomic::{AtomicBool, Ordering};

pub(crate) use shuttle::future::yield_now;
pub(crate) use shuttle::sync::Mutex;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> shuttle::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mutex for data of the model, which is never locked across a scheduling point.
pub(crate) type Plain<T> = std::sync::Mutex<T>;

pub(crate) fn locked<T>(plain: &Plain<T>) -> std::sync::MutexGuard<'_, T> {
    plain.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The monotonic clock. Here it stands still: the scenario's clock is never set back, so it measures all the time that
/// passes.
#[derive(Clone, Copy)]
pub(crate) struct Instant;

impl Instant {
    pub(crate) fn now() -> Self {
        Self
    }

    pub(crate) fn saturating_duration_since(self, _: Self) -> Duration {
        Duration::ZERO
    }
}

/// `arc_swap::ArcSwap`, in which a load or a swap is a single step.
#[derive(Default)]
pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

pub(crate) type Guard<T> = T;

impl<T> ArcSwap<T> {
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.load_full()
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        lock(&self.0).clone()
    }

    pub(crate) fn swap(&self, new: Arc<T>) -> Arc<T> {
        std::mem::replace(&mut lock(&self.0), new)
    }
}

shuttle::thread_local! {
    /// The runtime that the current task runs in.
    static CURRENT: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// A runtime, which a test may shut down or stall.
#[derive(Clone, Default)]
pub struct Handle(Arc<Plain<Runtime>>);

#[derive(Default)]
struct Runtime {
    state: RuntimeState,
    was_stalled: bool,
    tasks: Vec<Arc<Task>>,
    /// Wakers of the tasks that wait until this runtime has no task left.
    idle: Vec<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum RuntimeState {
    #[default]
    Running,
    Stalled,
    ShutDown,
}

/// The state of a task that its handles share.
#[derive(Default)]
struct Task {
    is_aborted: AtomicBool,
    progress: Plain<Progress>,
}

#[derive(Default)]
struct Progress {
    is_finished: bool,
    waker: Option<Waker>,
    joiner: Option<Waker>,
}

impl Task {
    fn wake(&self) {
        if let Some(waker) = &locked(&self.progress).waker {
            waker.wake_by_ref();
        }
    }
}

/// The error of [`Handle::try_current`] outside of a runtime.
#[derive(Debug)]
pub struct NoRuntime;

impl Handle {
    /// Returns the runtime that the current task runs in.
    pub fn try_current() -> Result<Self, NoRuntime> {
        CURRENT.with(|current| current.borrow().clone().ok_or(NoRuntime))
    }

    /// Spawns a task. As in tokio, it is dropped at once if the runtime has been shut down.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = Arc::<Task>::default();
        let output = Arc::<Plain<Option<F::Output>>>::default();
        let handle = JoinHandle {
            task: task.clone(),
            output: output.clone(),
        };
        let is_shut_down = {
            let mut runtime = locked(&self.0);
            let is_shut_down = runtime.state == RuntimeState::ShutDown;
            if !is_shut_down {
                runtime.tasks.push(task.clone());
            }
            is_shut_down
        };
        if is_shut_down {
            drop(future);
            locked(&task.progress).is_finished = true;
            return handle;
        }
        drop(shuttle::future::spawn(Driver {
            runtime: self.clone(),
            task,
            future: Some(Box::pin(future)),
            output,
        }));
        handle
    }

    /// Runs a future on a thread of its own in the context of this runtime, which does not poll it, like tokio's
    /// `Handle::block_on`.
    pub fn spawn_thread<F>(&self, future: F) -> shuttle::future::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let runtime = self.clone();
        shuttle::future::spawn(async move {
            CURRENT.with(|current| *current.borrow_mut() = Some(runtime));
            future.await
        })
    }

    /// Shuts the runtime down, which drops each task at its current await.
    pub fn shut_down(&self) {
        self.change(RuntimeState::ShutDown);
    }

    /// Stops polling the runtime's tasks.
    pub fn stall(&self) {
        locked(&self.0).was_stalled = true;
        self.change(RuntimeState::Stalled);
    }

    /// Polls the runtime's tasks again after [`Self::stall`].
    pub fn resume(&self) {
        self.change(RuntimeState::Running);
    }

    fn change(&self, state: RuntimeState) {
        let tasks = {
            let mut runtime = locked(&self.0);
            runtime.state = state;
            runtime.tasks.clone()
        };
        for task in tasks {
            task.wake();
        }
    }

    /// Returns whether the runtime is neither stalled nor shut down.
    pub fn is_running(&self) -> bool {
        locked(&self.0).state == RuntimeState::Running
    }

    /// Returns whether the runtime was ever stalled.
    pub fn was_stalled(&self) -> bool {
        locked(&self.0).was_stalled
    }

    /// Returns the number of tasks that have not ended.
    pub fn tasks(&self) -> usize {
        locked(&self.0).tasks.len()
    }

    /// Waits until all tasks have ended.
    pub async fn idle(&self) {
        std::future::poll_fn(|context| {
            let mut runtime = locked(&self.0);
            if runtime.tasks.is_empty() {
                return Poll::Ready(());
            }
            runtime.idle.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Polls a task's future for as long as its runtime runs.
struct Driver<F: Future> {
    runtime: Handle,
    task: Arc<Task>,
    future: Option<Pin<Box<F>>>,
    output: Arc<Plain<Option<F::Output>>>,
}

impl<F: Future> Driver<F> {
    fn finish(&mut self) -> Poll<()> {
        self.future = None;
        let joiner = {
            let mut progress = locked(&self.task.progress);
            progress.is_finished = true;
            progress.joiner.take()
        };
        let idle = {
            let mut runtime = locked(&self.runtime.0);
            runtime.tasks.retain(|task| !Arc::ptr_eq(task, &self.task));
            if runtime.tasks.is_empty() {
                take(&mut runtime.idle)
            } else {
                Vec::new()
            }
        };
        joiner.into_iter().chain(idle).for_each(Waker::wake);
        Poll::Ready(())
    }
}

impl<F: Future> Future for Driver<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        locked(&this.task.progress).waker = Some(context.waker().clone());
        let state = locked(&this.runtime.0).state;
        match state {
            RuntimeState::Stalled => return Poll::Pending,
            RuntimeState::ShutDown => return this.finish(),
            RuntimeState::Running if this.task.is_aborted.load(Ordering::SeqCst) => {
                return this.finish();
            }
            RuntimeState::Running => {}
        }
        CURRENT.with(|current| *current.borrow_mut() = Some(this.runtime.clone()));
        let Some(future) = &mut this.future else {
            return Poll::Ready(());
        };
        match future.as_mut().poll(context) {
            Poll::Ready(output) => {
                *locked(&this.output) = Some(output);
                this.finish()
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A handle that waits for a task.
pub struct JoinHandle<T> {
    task: Arc<Task>,
    output: Arc<Plain<Option<T>>>,
}

impl<T> JoinHandle<T> {
    /// Returns a handle that aborts the task.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.task.clone())
    }

    /// Waits until the task has ended. Returns `None` if it was dropped before it was complete.
    pub async fn join(self) -> Option<T> {
        std::future::poll_fn(|context| {
            let mut progress = locked(&self.task.progress);
            if progress.is_finished {
                return Poll::Ready(());
            }
            progress.joiner = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        locked(&self.output).take()
    }
}

/// A handle that aborts a task.
pub struct AbortHandle(Arc<Task>);

impl AbortHandle {
    /// Aborts the task. As in tokio, the runtime drops it when it would poll it next.
    pub fn abort(&self) {
        self.0.is_aborted.store(true, Ordering::SeqCst);
        self.0.wake();
    }

    /// Returns whether the task has ended or was dropped.
    pub fn is_finished(&self) -> bool {
        locked(&self.0.progress).is_finished
    }
}

/// `tokio::sync::watch`, as far as the cache uses it.
pub(crate) mod watch {
    use super::*;

    pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Mutex::new(Channel {
            value,
            is_closed: false,
            waiting: Vec::new(),
        }));
        (Sender(channel.clone()), Receiver(channel))
    }

    struct Channel<T> {
        value: T,
        is_closed: bool,
        waiting: Vec<Waker>,
    }

    pub(crate) struct Sender<T>(Arc<Mutex<Channel<T>>>);

    impl<T> Sender<T> {
        pub(crate) fn send_replace(&self, value: T) -> T {
            self.change(|channel| std::mem::replace(&mut channel.value, value))
        }

        /// Changes the channel, and wakes the receivers after releasing the lock, as tokio does.
        fn change<R>(&self, change: impl FnOnce(&mut Channel<T>) -> R) -> R {
            let (changed, waiting) = {
                let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                (change(&mut channel), take(&mut channel.waiting))
            };
            waiting.into_iter().for_each(Waker::wake);
            changed
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.change(|channel| channel.is_closed = true);
        }
    }

    pub(crate) struct Receiver<T>(Arc<Mutex<Channel<T>>>);

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    pub(crate) struct Closed;

    /// A snapshot of the value.
    pub(crate) struct Seen<T>(T);

    impl<T> Deref for Seen<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T: Clone> Receiver<T> {
        /// Returns an error if the sender was dropped, even if its last value was not seen yet.
        pub(crate) fn has_changed(&self) -> Result<(), Closed> {
            let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if channel.is_closed {
                Err(Closed)
            } else {
                Ok(())
            }
        }

        /// Returns the current value.
        pub(crate) fn borrow(&self) -> Seen<T> {
            let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Seen(channel.value.clone())
        }

        /// Waits for a value that fulfils the condition. It may be the last value of a sender that was dropped.
        pub(crate) async fn wait_for(
            &mut self,
            mut is_asked: impl FnMut(&T) -> bool,
        ) -> Result<Seen<T>, Closed> {
            std::future::poll_fn(|context| {
                let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if is_asked(&channel.value) {
                    return Poll::Ready(Ok(Seen(channel.value.clone())));
                }
                if channel.is_closed {
                    return Poll::Ready(Err(Closed));
                }
                channel.waiting.push(context.waker().clone());
                Poll::Pending
            })
            .await
        }
    }
}
