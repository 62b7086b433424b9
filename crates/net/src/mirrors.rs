//! Addresses that serve the same files: asked in order, and left when they fail.
//!
//! A mirror that has failed after all its retries isn't asked again; one that merely hasn't got a file is. Errors
//! name who named the mirror, for that is what the user can change.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use minke_cas::{Meter, Source, SourceUrl, Store};

use crate::{Client, FetchError, UnpinnedOptions};

/// An address that serves the same files as others do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// What all the files lie below.
    pub base: SourceUrl,
    /// Who names it, as an error says it: `` `MINKE_DEBIAN_MIRROR` ``.
    pub named_by: String,
}

/// A mirror is asked no more.
#[derive(Debug)]
pub struct Left<'a> {
    /// Which one.
    pub mirror: &'a Mirror,
    /// Which one is asked instead.
    pub next: &'a Mirror,
    /// Why.
    pub error: &'a FetchError,
}

/// Hears of each mirror that is left, once.
pub type Notice = Box<dyn Fn(&Left<'_>) + Send + Sync>;

/// All that is known of mirrors.
pub(crate) struct Mirrors {
    groups: Vec<Group>,
    notice: Option<Notice>,
}

/// Mirrors of one another.
struct Group {
    mirrors: Vec<Mirror>,
    /// The first that wasn't left.
    first: AtomicUsize,
}

impl fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.groups.iter().map(|group| &group.mirrors)).finish()
    }
}

impl Client {
    /// Puts something into the store, unless it is there already.
    ///
    /// What lies below a mirror is asked of the others, too, where that one fails or hasn't got it. `meter` advances
    /// by each byte once, however often it had to be sent and whoever fetches it; nothing is announced on it, and
    /// what was in the store doesn't count.
    ///
    /// # Errors
    /// [`FetchError::WrongDigest`] and [`FetchError::WrongSize`] if the server insists on other bytes;
    /// [`FetchError::Mirror`] about anything below a mirror; all other variants as they say, after as many
    /// tries as make sense.
    pub fn fetch(&self, source: &Source, store: &Store, meter: &Meter) -> Result<(), FetchError> {
        self.mirrors.ask(&source.url, |url| {
            let source = Source { url: url.clone(), digest: source.digest, size: source.size };
            self.fetch_from(&source, store, meter)
        })
    }

    /// Reads what nobody vouches for into memory, of the first mirror that has it.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] beyond the limit; [`FetchError::Mirror`] about anything below a mirror; all but the
    /// variants about pins and the store.
    pub fn get_unpinned(&self, url: &SourceUrl, options: &UnpinnedOptions) -> Result<Vec<u8>, FetchError> {
        self.mirrors.ask(url, |url| self.unpinned_from(url, options))
    }

    /// Returns who names the mirror that an address lies below, if it lies below one.
    pub fn named_by(&self, url: &SourceUrl) -> Option<&str> {
        let group = self.mirrors.groups.iter().find(|group| group.below(url).is_some())?;
        let mirror = group.mirrors.iter().find(|mirror| mirror.below(url).is_some());
        mirror.map(|mirror| mirror.named_by.as_str())
    }
}

impl Mirrors {
    pub(crate) fn new(groups: Vec<Vec<Mirror>>, notice: Option<Notice>) -> Self {
        let group = |mirrors| Group { mirrors, first: AtomicUsize::new(0) };
        Self { groups: groups.into_iter().map(group).collect(), notice }
    }

    /// Asks the mirrors of what an address lies below, in order, else the address itself.
    fn ask<T>(
        &self,
        url: &SourceUrl,
        mut ask: impl FnMut(&SourceUrl) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let found = self.groups.iter().find_map(|group| Some((group, group.below(url)?)));
        let Some((group, below)) = found else { return ask(url) };
        // Where all have failed before, the last one is asked once more.
        let first = group.first.load(Ordering::SeqCst).min(group.mirrors.len() - 1);
        let mut missing = None;
        for (mirror, index) in group.mirrors.iter().zip(0..).skip(first) {
            let address = FetchError::Address { url: Box::new(mirror.base.clone()) };
            let answer = mirror.base.join(&below).map_err(|_| address).and_then(|url| ask(&url));
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if matches!(error, FetchError::NotFound { .. }) {
                missing = missing.or(Some(mirror.at_fault(error)));
                continue;
            }
            if !error.is_the_servers() {
                return Err(error);
            }
            match group.mirrors.get(index + 1) {
                Some(next) => self.leave(group, index, &Left { mirror, next, error: &error }),
                None => return Err(missing.unwrap_or_else(|| mirror.at_fault(error))),
            }
        }
        Err(missing.expect("mirrors are never nobody, and one that fails otherwise returns"))
    }

    /// Has the next mirror asked first from now on; who comes second with that has nothing to say.
    fn leave(&self, group: &Group, index: usize, left: &Left<'_>) {
        let ours = group.first.compare_exchange(index, index + 1, Ordering::SeqCst, Ordering::SeqCst);
        if let (Ok(_), Some(notice)) = (ours, &self.notice) {
            notice(left);
        }
    }
}

impl Group {
    /// Returns what of an address comes after one of the mirrors' bases.
    fn below(&self, url: &SourceUrl) -> Option<String> {
        self.mirrors.iter().find_map(|mirror| mirror.below(url)).map(str::to_owned)
    }
}

impl Mirror {
    fn below<'url>(&self, url: &'url SourceUrl) -> Option<&'url str> {
        let base = self.base.with_secrets().as_str().trim_end_matches('/');
        url.with_secrets().as_str().strip_prefix(base)?.strip_prefix('/')
    }

    fn at_fault(&self, source: FetchError) -> FetchError {
        FetchError::Mirror { named_by: self.named_by.clone(), source: Box::new(source) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn url(text: &str) -> SourceUrl {
        text.parse().unwrap()
    }

    fn mirror(base: &str) -> Mirror {
        Mirror { base: url(base), named_by: format!("the setting of {base}") }
    }

    fn status(url: &SourceUrl, status: u16) -> FetchError {
        match status {
            404 => FetchError::NotFound { url: Box::new(url.clone()) },
            status => FetchError::Status { url: Box::new(url.clone()), status },
        }
    }

    /// Three mirrors that answer as told; returns what was asked for and heard, and how it ended.
    fn run(answers: [u16; 3], times: usize) -> Vec<String> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let notice: Notice = Box::new(move |left| {
            heard.lock().unwrap().push(format!("left {} for {}", left.mirror.base, left.next.base));
        });
        let hosts = ["http://a.test/debian", "http://b.test/debian/", "http://c.test"];
        let mirrors = Mirrors::new(vec![hosts.map(mirror).to_vec()], Some(notice));
        for _ in 0..times {
            let answer = mirrors.ask(&url("http://a.test/debian/pool/x%2b.deb"), |url| {
                said.lock().unwrap().push(format!("asked {url}"));
                let number = hosts.iter().position(|host| url.to_string().starts_with(host)).unwrap();
                if answers[number] == 200 { Ok(()) } else { Err(status(url, answers[number])) }
            });
            said.lock().unwrap().push(match answer {
                Ok(()) => "ok".to_owned(),
                Err(FetchError::Mirror { named_by, source }) => format!("{named_by}: {source}"),
                Err(error) => error.to_string(),
            });
        }
        let said = said.lock().unwrap();
        said.clone()
    }

    #[test]
    fn a_mirror_that_fails_is_left_and_one_that_lacks_a_file_is_not() {
        insta::assert_snapshot!(run([500, 404, 200], 2).join("\n"), @r"
        asked http://a.test/debian/pool/x%2b.deb
        left http://a.test/debian for http://b.test/debian/
        asked http://b.test/debian/pool/x%2b.deb
        asked http://c.test/pool/x%2b.deb
        ok
        asked http://b.test/debian/pool/x%2b.deb
        asked http://c.test/pool/x%2b.deb
        ok
        ");
    }

    #[test]
    fn where_all_fail_the_setting_of_the_last_is_named_and_it_is_asked_again() {
        insta::assert_snapshot!(run([500, 502, 503], 2).join("\n"), @r"
        asked http://a.test/debian/pool/x%2b.deb
        left http://a.test/debian for http://b.test/debian/
        asked http://b.test/debian/pool/x%2b.deb
        left http://b.test/debian/ for http://c.test/
        asked http://c.test/pool/x%2b.deb
        the setting of http://c.test: http://c.test/pool/x%2b.deb answers with status 503
        asked http://c.test/pool/x%2b.deb
        the setting of http://c.test: http://c.test/pool/x%2b.deb answers with status 503
        ");
    }

    #[test]
    fn what_nobody_has_is_not_there() {
        insta::assert_snapshot!(run([404, 404, 404], 1).join("\n"), @r"
        asked http://a.test/debian/pool/x%2b.deb
        asked http://b.test/debian/pool/x%2b.deb
        asked http://c.test/pool/x%2b.deb
        the setting of http://a.test/debian: there is nothing at http://a.test/debian/pool/x%2b.deb
        ");
    }

    #[test]
    fn what_lies_elsewhere_is_asked_for_as_it_is() {
        let mirrors = Mirrors::new(vec![vec![mirror("http://a.test/debian")]], None);
        let asked = |text: &str| mirrors.ask(&url(text), |url| Ok(url.to_string())).unwrap();
        assert_eq!(asked("http://a.test/debian-security/x"), "http://a.test/debian-security/x");
    }
}
