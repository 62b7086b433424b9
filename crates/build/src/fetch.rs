//! Fetches many pinned files at once and works on each as soon as it is there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use minke_cas::{Meter, Source, Store};
use minke_net::{Client, FetchError};

/// Transfers are long and bounded: a few more than any machine has cores, so that one slow host doesn't
/// hold up the rest, and the work on what has come goes on meanwhile.
const WORKERS: usize = 8;

/// Something to fetch and what to do with it then.
pub(crate) struct Errand<T> {
    /// What to fetch; nothing for what is here already.
    pub(crate) source: Option<Source>,
    /// What the caller wants to know when it is there.
    pub(crate) subject: T,
}

/// Fetches every source into the store and calls `then` for each when it is there, several at a time.
///
/// The results are in the order of the errands. After the first error nothing new is begun.
///
/// # Errors
/// The first error of `then`, or `failed` of the first that cannot be fetched.
pub(crate) fn fetch_each<T, R, E>(
    client: &Client,
    (store, meter): (&Store, &Meter),
    errands: Vec<Errand<T>>,
    failed: impl Fn(&T, FetchError) -> E + Sync,
    then: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Send + Sync,
    R: Send,
    E: Send,
{
    // The largest first: what is begun last should be short.
    let mut order: Vec<usize> = (0..errands.len()).collect();
    let size = |errand: &Errand<T>| errand.source.as_ref().and_then(|source| source.size).unwrap_or(u64::MAX);
    order.sort_by_key(|&index| size(&errands[index]));
    let sizes = errands.iter().filter_map(|errand| errand.source.as_ref()?.size);
    meter.expect(sizes.sum());
    spread(WORKERS, order, |index| {
        let errand = &errands[index];
        if let Some(source) = &errand.source {
            client.fetch(source, store, meter).map_err(|error| failed(&errand.subject, error))?;
        }
        then(&errand.subject)
    })
}

/// Does the same work on many things, `jobs` at a time, the largest first; the results are in their order.
///
/// # Errors
/// The first error in that order; after one, nothing new is begun.
pub(crate) fn in_parallel<T, R, E>(
    jobs: usize,
    items: &[T],
    size: impl Fn(&T) -> u64,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_cached_key(|&index| size(&items[index]));
    spread(jobs.max(1), order, |index| work(&items[index]))
}

/// Runs work on the indices of `order`, the last first, and returns the results by index.
fn spread<R: Send, E: Send>(
    workers: usize,
    order: Vec<usize>,
    work: impl Fn(usize) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let count = order.len();
    let queue = Mutex::new(order);
    let results: Vec<Mutex<Option<Result<R, E>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..workers.min(count) {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    let next = queue.lock().expect("no thread panics with this lock").pop();
                    let Some(index) = next else { break };
                    let result = work(index);
                    stopped.fetch_or(result.is_err(), Ordering::Relaxed);
                    *results[index].lock().expect("no thread panics with this lock") = Some(result);
                }
            });
        }
    });
    // An error has stopped the others: what is undone lies beside it and says nothing.
    results
        .into_iter()
        .filter_map(|result| result.into_inner().expect("no thread panics with this lock"))
        .collect()
}
