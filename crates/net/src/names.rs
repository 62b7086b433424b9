//! Remembers where hosts are, so that a name is asked for once and not with every request.
//!
//! `ureq` resolves a name for each request, also where a connection is at hand, and every transfer does so at
//! the same time. Resolvers lose questions that come in bursts, and the system asks again only after 5 seconds,
//! in which all transfers stood still. Here the first who needs a name asks, and the others wait for its answer.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

/// After this a name is asked for again: hosts move, and builds can be long.
const FRESH: Duration = Duration::from_secs(60);

/// A resolver with a memory.
#[derive(Debug, Default)]
pub(crate) struct Names<R = DefaultResolver> {
    resolver: R,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
}

#[derive(Debug, Default)]
struct Host {
    /// How often it was asked for; who had to wait sees by it whether the answer is new.
    lookups: AtomicU64,
    answer: Mutex<Option<Answer>>,
}

#[derive(Debug)]
struct Answer {
    came: Instant,
    result: Result<Vec<SocketAddr>, Failed>,
}

/// Why a name has no address, for those who waited for the one who asked.
#[derive(Debug)]
enum Failed {
    NotFound,
    TooSlow(Timeout),
    System(io::ErrorKind, String),
}

impl<R: Resolver> Resolver for Names<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let place = uri.scheme().zip(uri.authority());
        let Some(name) =
            place.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
        else {
            return self.resolver.resolve(uri, config, timeout);
        };
        let host = Arc::clone(self.hosts.lock().expect(UNBROKEN).entry(name).or_default());
        let before = host.lookups.load(Ordering::SeqCst);
        let mut answer = host.answer.lock().expect(UNBROKEN);
        match answer.as_ref() {
            Some(Answer { came, result: Ok(addresses) }) if came.elapsed() < FRESH => {
                return Ok(self.list(addresses));
            }
            // It was asked for while we waited.
            Some(Answer { result: Err(failed), .. }) if host.lookups.load(Ordering::SeqCst) != before => {
                return Err(failed.as_error());
            }
            _ => {}
        }
        let resolved = self.resolver.resolve(uri, config, timeout);
        let result = resolved.as_ref().map(|addresses| addresses.to_vec()).map_err(Failed::of);
        *answer = Some(Answer { came: Instant::now(), result });
        host.lookups.fetch_add(1, Ordering::SeqCst);
        resolved
    }
}

const UNBROKEN: &str = "no thread panics with this lock";

impl<R: Resolver> Names<R> {
    fn list(&self, addresses: &[SocketAddr]) -> ResolvedSocketAddrs {
        let mut list = self.empty();
        addresses.iter().for_each(|address| list.push(*address));
        list
    }
}

impl Failed {
    fn of(error: &Error) -> Self {
        match error {
            Error::Timeout(reason) => Self::TooSlow(*reason),
            Error::Io(source) => Self::System(source.kind(), source.to_string()),
            _ => Self::NotFound,
        }
    }

    fn as_error(&self) -> Error {
        match self {
            Self::NotFound => Error::HostNotFound,
            Self::TooSlow(reason) => Error::Timeout(*reason),
            Self::System(kind, text) => Error::Io(io::Error::new(*kind, text.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// Knows one host, forgets nothing, and isn't fast.
    #[derive(Debug, Default)]
    struct Slow {
        asked: AtomicU64,
    }

    impl Resolver for Slow {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            if uri.host() == Some("gone.test") {
                return Err(Error::HostNotFound);
            }
            let mut list = self.empty();
            list.push("127.0.0.1:80".parse().unwrap());
            Ok(list)
        }
    }

    fn ask_from_many_threads(names: &Names<Slow>, address: &'static str) -> Vec<Result<usize, String>> {
        let together = Barrier::new(8);
        thread::scope(|scope| {
            let ask = || {
                together.wait();
                let (uri, config) = (Uri::from_static(address), Config::default());
                let timeout = NextTimeout {
                    after: Duration::from_secs(1).into(),
                    reason: Timeout::Resolve,
                    ..NextTimeout::default()
                };
                let answer = names.resolve(&uri, &config, timeout);
                answer.map(|addresses| addresses.len()).map_err(|error| error.to_string())
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_name_is_asked_for_once_however_many_want_it() {
        let names = Names::<Slow>::default();
        for _ in 0..2 {
            assert_eq!(ask_from_many_threads(&names, "http://host.test/"), vec![Ok(1); 8]);
        }
        assert_eq!(names.resolver.asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_waits_fails_with_the_one_who_asked_and_a_later_try_asks_again() {
        let names = Names::<Slow>::default();
        let failed = || ask_from_many_threads(&names, "http://gone.test/");
        assert_eq!(failed(), vec![Err("host not found".to_owned()); 8]);
        let first = names.resolver.asked.load(Ordering::SeqCst);
        failed();
        assert!(first < 8 && names.resolver.asked.load(Ordering::SeqCst) > first);
    }
}
