//! Runs a scenario under the random and the PCT scheduler.

use std::time::Instant;

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, MaxSteps, Runner};

use crate::clock::Clock;

/// The number of schedules that `cargo test` runs for each scenario, half of them with each scheduler.
const SCHEDULES: usize = 4_000;

/// PCT's bug depth: the number of steps whose order must be right for a bug to appear.
const DEPTH: usize = 3;

/// Far more steps than any scenario takes: one that reaches it is in an endless loop.
const MAX_STEPS: usize = 50_000;

/// A fixed seed, so that CI searches the same schedules every time; `SHUTTLE_RANDOM_SEED` overrides it.
const SEED: u64 = 1;

/// Searches the interleavings of `scenario`. The environment variable `INTERLEAVINGS` sets the number of schedules;
/// `REPLAY` runs one schedule again, for example one that failed.
pub fn search<F>(name: &str, scenario: impl Fn(Clock) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = ()>,
{
    let run = move || {
        let clock = Clock::default();
        drop(shuttle::future::spawn(clock.clone().run()));
        // The cache's jitter is part of the schedule.
        fastrand::seed(thread_rng().r#gen());
        shuttle::future::block_on(scenario(clock));
    };
    if let Ok(schedule) = std::env::var("REPLAY") {
        check(ReplayScheduler::new_from_encoded(&schedule), run);
        return;
    }
    let schedules = match std::env::var("INTERLEAVINGS") {
        Ok(schedules) => schedules.parse().expect("INTERLEAVINGS is a number"),
        Err(_) => SCHEDULES,
    };
    let began = Instant::now();
    let half = schedules / 2;
    check(RandomScheduler::new_from_seed(SEED, half), run);
    check(
        PctScheduler::new_from_seed(SEED, DEPTH, schedules - half),
        run,
    );
    let seconds = began.elapsed().as_secs_f64();
    println!("{name}: {schedules} schedules in {seconds:.1} s");
}

fn check(scheduler: impl Scheduler + 'static, run: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.stack_size = 0x4_0000;
    Runner::new(ClockLast(scheduler), config).run(run);
}

/// Runs the clock, which is the task spawned first, only when no other task can run.
struct ClockLast<S>(S);

impl<S: Scheduler> Scheduler for ClockLast<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let clock = TaskId::from(1);
        if runnable.len() == 1 || runnable.iter().all(|task| task.id() != clock) {
            return self.0.next_task(runnable, current, is_yielding);
        }
        let others: Vec<_> = runnable
            .iter()
            .copied()
            .filter(|task| task.id() != clock)
            .collect();
        self.0.next_task(&others, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}
