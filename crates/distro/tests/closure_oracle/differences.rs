//! Where apt answers otherwise, and why that is right.

/// Two answers for one root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Difference {
    pub(crate) root: String,
    /// What only apt would install.
    pub(crate) only_apt: String,
    /// What only minke would.
    pub(crate) only_minke: String,
}

/// A difference that is meant.
pub(crate) struct Known {
    root: &'static str,
    only_apt: &'static str,
    only_minke: &'static str,
    #[expect(dead_code, reason = "for who reads the table")]
    reason: &'static str,
}

impl Difference {
    pub(crate) fn known(known: &Known) -> Self {
        let Known { root, only_apt, only_minke, .. } = known;
        Self {
            root: (*root).to_owned(),
            only_apt: (*only_apt).to_owned(),
            only_minke: (*only_minke).to_owned(),
        }
    }
}

/// `a | b`, or `a` that `b` provides, where `b` is there anyway: apt takes `a` as it meets it.
const THERE_ANYWAY: &str = "what is there for another reason meets the need";

/// In the order of the roots.
pub(crate) const DIFFERENCES: [Known; 5] = [
    Known {
        root: "icingaweb2-module-incubator",
        only_apt: "php8.4-phpdbg",
        only_minke: "php-cli",
        reason: "both have one more than they need: apt the first that provides `php-json`, minke the package that \
                 is called `php-cli`, before knowing that php8.4-cli would be there and provide it",
    },
    Known { root: "python3-mshr", only_apt: "pkg-config", only_minke: "", reason: THERE_ANYWAY },
    Known {
        root: "python3-sparqlwrapper",
        only_apt: "python3-isodate",
        only_minke: "",
        reason: THERE_ANYWAY,
    },
    Known { root: "r-cran-rnexml", only_apt: "littler", only_minke: "", reason: THERE_ANYWAY },
    Known { root: "r-other-rajewsky-dropbead", only_apt: "littler", only_minke: "", reason: THERE_ANYWAY },
];
