//! Passwords in addresses: found, so that their hosts get to hear them, and taken out of all that is kept.
//!
//! An index may be named as `https://user:password@host.test/simple` in a variable, in pip's or uv's files, or in
//! the project's own. The address goes to uv as it is; what is kept, hashed or shown has it without.
//!
//! Only http and https addresses (`git+https` too) are looked at: the `git@` of an ssh address is no secret.

use std::collections::BTreeMap;
use std::ops::Range;

use minke_net::Credentials;
use percent_encoding::percent_decode_str;

/// Returns a text without the user names and passwords in its addresses.
pub(crate) fn without(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for found in all(text) {
        clean.push_str(&text[from..found.user_info.start]);
        // The `@` goes too.
        from = found.user_info.end + 1;
    }
    clean.push_str(&text[from..]);
    clean
}

/// Tells whether an address in a text has a user name or password.
pub(crate) fn are_in(text: &str) -> bool {
    !all(text).is_empty()
}

/// Reads who we are to which `host` or `host:port` from the addresses in a text.
pub(crate) fn in_text(text: &str) -> BTreeMap<String, Credentials> {
    all(text).into_iter().map(|found| found.credentials(text)).collect()
}

/// Puts in the values of `${NAME}`, as pip and uv do in requirement files; an unknown name stays.
pub(crate) fn expanded<'a>(text: &str, variable: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let value = after.split_once('}').and_then(|(name, end)| Some((variable(name)?, end)));
        rest = value.map_or(after, |(value, end)| {
            out.push_str(value);
            end
        });
        if value.is_none() {
            out.push_str("${");
        }
    }
    out.push_str(rest);
    out
}

/// Returns the names of the variables that a text refers to as `${NAME}`.
pub(crate) fn variables(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).filter(is_name)
}

/// An address with a user name or password.
struct Found {
    /// What stands before the `@`.
    user_info: Range<usize>,
    /// Host and port.
    host: Range<usize>,
}

impl Found {
    fn credentials(&self, text: &str) -> (String, Credentials) {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user_info = &text[self.user_info.clone()];
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let credentials = Credentials::Basic { user: decoded(user), password: decoded(password) };
        (text[self.host.clone()].to_lowercase(), credentials)
    }
}

fn all(text: &str) -> Vec<Found> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "/?#`'\"<>,;)".contains(c);
    let is_web = |before: &str| before.ends_with("http") || before.ends_with("https");
    let authorities =
        text.match_indices("://").filter(|(at, _)| is_web(&text[..*at])).map(|(at, separator)| {
            let start = at + separator.len();
            let length = text[start..].find(ends).unwrap_or(text.len() - start);
            start..start + length
        });
    let found = authorities.filter_map(|authority| {
        let sign = authority.start + text[authority.clone()].rfind('@')?;
        Some(Found { user_info: authority.start..sign, host: sign + 1..authority.end })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "--index-url https://me:p%40ss@host.test:81/simple # and 'http://token@other.test'\n\
        git+https://a@b@git.test/x git+ssh://git@git.test/x https://host.test/a@b";

    #[test]
    fn addresses_are_kept_without_their_passwords() {
        let expected = "--index-url https://host.test:81/simple # and 'http://other.test'\n\
            git+https://git.test/x git+ssh://git@git.test/x https://host.test/a@b";
        assert_eq!(without(TEXT), expected);
        assert!(are_in(TEXT) && !are_in(expected));
    }

    #[test]
    fn each_host_has_its_own_credentials() {
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        let expected = [
            ("git.test", basic("a@b", "")),
            ("host.test:81", basic("me", "p@ss")),
            ("other.test", basic("token", "")),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(host, who)| (host.to_owned(), who)).collect();
        assert!(in_text(TEXT) == expected);
    }

    #[test]
    fn variables_are_put_in_where_they_are_known() {
        let text = "https://${USER}:${PASS_1}@host.test/${unknown}/${";
        let value = |name: &str| match name {
            "USER" => Some("me"),
            "PASS_1" => Some("p"),
            _ => None,
        };
        assert_eq!(expanded(text, value), "https://me:p@host.test/${unknown}/${");
        assert_eq!(variables(text).collect::<Vec<_>>(), ["USER", "PASS_1"]);
    }
}
