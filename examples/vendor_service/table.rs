//! The table that `--local` prints.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::load::{Answer, OUTAGE, Phase, Report};
use crate::local::{Delivered, Local};

/// The maximum number of lines in the list of refused requests.
const SHOWN: usize = 10;

/// Returns the table, in 80 columns, and whether the service behaved as it should.
pub fn table(report: &Report, local: &Local, chains: usize) -> (String, bool) {
    let all = || report.phases.iter().flat_map(|phase| &phase.answers);
    let accepted = all().filter(|answer| answer.status == Some(200));
    let delivered = local.check(accepted.clone().map(|answer| answer.request));

    let mut text = format!(
        "{:8} {:>9} {:>9} {:>8} {:>8} {:>9} {:>10} {:>5} {:>5}\n",
        "", "requests", "accepted", "refused", "retry", "no answer", "AssumeRole", "p50", "p99"
    );
    for phase in &report.phases {
        text += &line(
            phase.name,
            &phase.answers.iter().collect::<Vec<_>>(),
            phase.sts_calls,
        );
    }
    if report.phases.len() > 1 {
        let calls = report.phases.iter().map(|phase| phase.sts_calls).sum();
        text += &line("total", &all().collect::<Vec<_>>(), calls);
    }
    let _ = writeln!(
        text,
        "retry: 429 and 5xx; p50 and p99: milliseconds of accepted requests\n"
    );
    let seconds = report.took.as_secs_f64();
    let _ = writeln!(
        text,
        "customers: {}, chains in the pool: {chains}, seconds: {seconds:.1}{}",
        local.customers.len(),
        peak_memory()
            .map(|mib| format!(", peak memory: {mib} MiB"))
            .unwrap_or_default(),
    );
    let Delivered {
        records,
        lost,
        misplaced,
    } = delivered;
    let accepted = accepted.count();
    let _ = writeln!(
        text,
        "records accepted: {accepted}, on the streams: {records}, lost: {lost}, on a wrong stream: {misplaced}"
    );
    let (outage, not_served) = outage(report);
    text += &outage;
    text += &refusals(report, local);
    let is_answered = report.is_interrupted || all().all(|answer| answer.status.is_some());
    let is_good = lost == 0 && misplaced == 0 && not_served == 0 && is_answered;
    (text, is_good)
}

fn line(name: &str, answers: &[&Answer], sts_calls: usize) -> String {
    let count = |is: fn(Option<u16>) -> bool| answers.iter().filter(|it| is(it.status)).count();
    let accepted = answers.iter().filter(|it| it.status == Some(200));
    let mut times: Vec<_> = accepted.map(|it| it.took).collect();
    times.sort();
    let later = count(|status| matches!(status, Some(429 | 500..)));
    let no_answer = count(|status| status.is_none());
    format!(
        "{name:8} {:>9} {:>9} {:>8} {later:>8} {no_answer:>9} {sts_calls:>10} {:>5} {:>5}\n",
        answers.len(),
        times.len(),
        answers.len() - times.len() - later - no_answer,
        percentile(&times, 0.5),
        percentile(&times, 0.99),
    )
}

fn percentile(sorted: &[Duration], part: f64) -> String {
    let at = (sorted.len() as f64 * part) as usize;
    match sorted.get(at.min(sorted.len().saturating_sub(1))) {
        Some(time) => format!("{:.0}", time.as_secs_f64() * 1000.0),
        None => "-".to_owned(),
    }
}

/// Returns a line on the customers that had a session when the outage began, and how many of their requests failed.
fn outage(report: &Report) -> (String, usize) {
    let [_, Phase { answers, .. }, _] = &report.phases[..] else {
        return Default::default();
    };
    let of_them = answers
        .iter()
        .filter(|it| report.with_session.contains(&it.customer));
    // 424 counts as served: customers that are meant to fail do so with and without an outage.
    let not_served = of_them
        .clone()
        .filter(|it| !matches!(it.status, Some(200 | 424)))
        .count();
    let text = format!(
        "{OUTAGE}: customers with a session: {}, their requests: {}, not served: {not_served}\n",
        report.with_session.len(),
        of_them.count(),
    );
    (text, not_served)
}

fn refusals(report: &Report, local: &Local) -> String {
    let mut refusals = BTreeMap::<_, usize>::new();
    for answer in report.phases.iter().flat_map(|phase| &phase.answers) {
        if let Some(status @ 400..500) = answer.status {
            *refusals
                .entry((answer.customer, status, &answer.error))
                .or_default() += 1;
        }
    }
    let mut text = "\nrefused requests by customer:\n".to_owned();
    for ((customer, status, error), requests) in refusals.iter().take(SHOWN) {
        let id = &local.customers[*customer].id;
        let _ = writeln!(text, "  {id}  {requests:>7}  {status} {error}");
    }
    if refusals.len() > SHOWN {
        let _ = writeln!(text, "  and {} more lines", refusals.len() - SHOWN);
    }
    text
}

/// Returns the process's peak memory in MiB, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
