//! Fetches many pinned files at once and works on each as soon as it is there.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use minke_cas::{Meter, Source, Store};
use minke_net::{Client, FetchError};

/// Transfers at once. Most files are small, and for those the way there and back takes longer than the bytes;
/// each costs a buffer and a connection that is used again. Who unpacks is counted apart.
const TRANSFERS: usize = 32;

/// What fetching takes, and where it is counted.
#[derive(Clone, Copy)]
pub struct Fetcher<'build> {
    /// Who fetches.
    pub client: &'build Client,
    /// Where what was fetched goes.
    pub store: &'build Store,
    /// What the bytes are counted on.
    pub meter: &'build Meter,
    /// How many files are worked on at once.
    pub jobs: usize,
}

/// Something to fetch and what to do with it then.
pub(crate) struct Errand<T> {
    /// What to fetch; nothing for what is here already.
    pub(crate) source: Option<Source>,
    /// What the caller wants to know when it is there.
    pub(crate) subject: T,
}

/// Fetches every source into the store and calls `then` for each when it is there.
///
/// Transfers have threads of their own, so that none waits for `then`, which `jobs` threads call. The results are
/// in the order of the errands. After the first error nothing new is begun.
///
/// # Errors
/// The first error of `then`, or `failed` of the first that cannot be fetched.
pub(crate) fn fetch_each<T, R, E>(
    fetcher: Fetcher<'_>,
    errands: Vec<Errand<T>>,
    failed: impl Fn(&T, FetchError) -> E + Sync,
    then: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Send + Sync,
    R: Send,
    E: Send,
{
    let Fetcher { client, store, meter, jobs } = fetcher;
    // The largest first: what is begun last should be short.
    let mut order: Vec<usize> = (0..errands.len()).collect();
    let size = |errand: &Errand<T>| errand.source.as_ref().and_then(|source| source.size).unwrap_or(u64::MAX);
    order.sort_by_key(|&index| size(&errands[index]));
    let sizes = errands.iter().filter_map(|errand| errand.source.as_ref()?.size);
    meter.expect(sizes.sum());
    let (away, here): (Vec<_>, Vec<_>) =
        order.into_iter().partition(|&index| errands[index].source.is_some());
    let fetch = |index: usize| {
        let Errand { source, subject } = &errands[index];
        let file = source.as_ref().map(|source| source.url.to_string());
        let file = file.as_deref().and_then(|url| url.rsplit('/').next());
        let _span = tracing::info_span!("fetch", file).entered();
        let fetched = source.as_ref().map_or(Ok(()), |source| client.fetch(source, store, meter));
        fetched.map_err(|error| failed(subject, error))
    };
    let desk = Desk::new(errands.len());
    let (arrived, arrivals) = mpsc::channel();
    for index in here {
        arrived.send(index).expect("the other end is in this function");
    }
    let (queue, arrivals) = (Mutex::new(away), Mutex::new(arrivals));
    thread::scope(|scope| {
        for _ in 0..TRANSFERS.min(desk.results.len()) {
            let arrived = arrived.clone();
            let (desk, queue, fetch) = (&desk, &queue, &fetch);
            scope.spawn(move || {
                while let Some(index) = desk.next(|| queue.lock().expect(UNBROKEN).pop()) {
                    match fetch(index) {
                        // After an error elsewhere nobody is there to take it.
                        Ok(()) => drop(arrived.send(index)),
                        Err(error) => desk.put(index, Err(error)),
                    }
                }
            });
        }
        // Those who work on what has arrived end when the last transfer has.
        drop(arrived);
        for _ in 0..jobs.max(1).min(desk.results.len()) {
            scope.spawn(|| {
                while let Some(index) = desk.next(|| arrivals.lock().expect(UNBROKEN).recv().ok()) {
                    desk.put(index, then(&errands[index].subject));
                }
            });
        }
    });
    desk.results()
}

/// Does two things at once, the first on a thread of its own; panics as either does.
pub(crate) fn at_once<A: Send, B>(beside: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let beside = scope.spawn(beside);
        let here = here();
        (beside.join().unwrap_or_else(|panic| resume_unwind(panic)), here)
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

/// As [`in_parallel`], in the order of `items`, where workers may ask what can only be answered on this thread.
pub(crate) fn in_parallel_asking<T, R, E, A>(
    jobs: usize,
    items: &[T],
    answer: impl Fn() -> A,
    work: impl Fn(&T, &(dyn Fn() -> A + Sync)) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
    A: Send,
{
    let (asked, questions) = mpsc::channel::<mpsc::Sender<A>>();
    let work = &work;
    thread::scope(|scope| {
        let workers = scope.spawn(move || {
            let ask = || {
                let (answered, answer) = mpsc::channel();
                asked.send(answered).expect("who answers does so until all workers are done");
                answer.recv().expect("every question is answered")
            };
            let order = (0..items.len()).rev().collect();
            spread(jobs.max(1), order, |index| work(&items[index], &ask))
        });
        for question in questions {
            // Who asked waits for it.
            let _ = question.send(answer());
        }
        workers.join().expect("workers don't panic")
    })
}

/// Runs work on the indices of `order`, the last first, and returns the results by index.
fn spread<R: Send, E: Send>(
    workers: usize,
    order: Vec<usize>,
    work: impl Fn(usize) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let desk = Desk::new(order.len());
    let queue = Mutex::new(order);
    thread::scope(|scope| {
        for _ in 0..workers.min(desk.results.len()) {
            scope.spawn(|| {
                while let Some(index) = desk.next(|| queue.lock().expect(UNBROKEN).pop()) {
                    desk.put(index, work(index));
                }
            });
        }
    });
    desk.results()
}

const UNBROKEN: &str = "no thread panics with this lock";

/// Where threads get work and leave results, until one of them fails.
struct Desk<R, E> {
    results: Vec<Mutex<Option<Result<R, E>>>>,
    stopped: AtomicBool,
}

impl<R, E> Desk<R, E> {
    fn new(count: usize) -> Self {
        Self { results: (0..count).map(|_| Mutex::new(None)).collect(), stopped: AtomicBool::new(false) }
    }

    /// Returns what `take` finds to do, unless it is over.
    fn next(&self, take: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let stopped = || self.stopped.load(Ordering::Relaxed);
        if stopped() { None } else { take().filter(|_| !stopped()) }
    }

    fn put(&self, index: usize, result: Result<R, E>) {
        self.stopped.fetch_or(result.is_err(), Ordering::Relaxed);
        *self.results[index].lock().expect(UNBROKEN) = Some(result);
    }

    /// Returns the results in order; an error has stopped the others, and what is undone beside it says nothing.
    fn results(self) -> Result<Vec<R>, E> {
        self.results.into_iter().filter_map(|result| result.into_inner().expect(UNBROKEN)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn workers_run_at_once_and_are_answered_by_who_waits_for_them() {
        let here = thread::current().id();
        let (both, items) = (Barrier::new(2), [1, 2, 3, 4]);
        let work = |item: &u32, ask: &(dyn Fn() -> thread::ThreadId + Sync)| {
            both.wait();
            Ok::<_, ()>((item * 10, ask() == here, thread::current().id() == here))
        };
        let answer = || thread::current().id();
        let done = in_parallel_asking(2, &items, answer, work).unwrap();
        assert_eq!(done, [10, 20, 30, 40].map(|item| (item, true, false)));
    }

    #[test]
    fn of_several_errors_the_first_in_order_is_told_and_nothing_new_begins() {
        let begun = Mutex::new(Vec::new());
        let work = |item: &u32, ask: &(dyn Fn() -> u32 + Sync)| {
            begun.lock().unwrap().push(*item);
            if *item < ask() { Ok(*item) } else { Err(*item) }
        };
        assert_eq!(in_parallel_asking(1, &[1, 5, 7, 2], || 5, work), Err(5));
        assert_eq!(*begun.lock().unwrap(), [1, 5]);
    }
}
