//! What a case is, and where it runs.

use anyhow::Result;

use super::env::Env;

/// One end-to-end case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// The module's path and the function's name.
    pub(crate) name: &'static str,
    pub(crate) scope: Scope,
    pub(crate) run: fn(&Env) -> Result<()>,
}

impl Case {
    /// The name without what all cases share.
    pub(crate) fn short_name(&self) -> &'static str {
        self.name
            .split_once("cases::")
            .map_or(self.name, |(_, name)| name)
    }
}

/// In which sets a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// In both: what depends on the runtime or on the cgroups.
    Core,
    /// Only in the full set.
    Full,
}

/// Which cases to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Full,
    Core,
}

impl Set {
    /// Reads the word of the command line.
    pub(crate) fn parse(word: &str) -> Result<Set> {
        match word {
            "full" => Ok(Set::Full),
            "core" => Ok(Set::Core),
            _ => anyhow::bail!("a set is full or core"),
        }
    }

    /// Whether a case of this scope is in the set.
    pub(crate) fn has(self, scope: Scope) -> bool {
        match self {
            Set::Full => true,
            Set::Core => scope == Scope::Core,
        }
    }
}

/// How much the cases do that prove something by its amount: bytes, containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What fits into every round.
    Quick,
    /// What takes minutes.
    Full,
}

impl Scale {
    /// Reads the word of the command line.
    pub(crate) fn parse(word: &str) -> Result<Scale> {
        match word {
            "quick" => Ok(Scale::Quick),
            "full" => Ok(Scale::Full),
            _ => anyhow::bail!("a scale is quick or full"),
        }
    }

    /// The amount of this scale.
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Scale::Quick => quick,
            Scale::Full => full,
        }
    }
}

/// The runtime that the containers of a case get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The one that `ctr` takes when nothing is said.
    Builtin,
    Runc,
    Crun,
}

impl Runtime {
    /// Reads the word of the command line.
    pub(crate) fn parse(word: &str) -> Result<Runtime> {
        [Runtime::Builtin, Runtime::Runc, Runtime::Crun]
            .into_iter()
            .find(|runtime| runtime.name() == word)
            .ok_or_else(|| anyhow::anyhow!("a runtime is builtin, runc or crun"))
    }

    /// The word of the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::Builtin => "builtin",
            Runtime::Runc => "runc",
            Runtime::Crun => "crun",
        }
    }

    /// The global flags that select it.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Runtime::Builtin => &[],
            Runtime::Runc => &["--runtime", "runc"],
            Runtime::Crun => &["--runtime", "crun"],
        }
    }
}

/// Makes the table `CASES` of a module from its functions. A function that is in no table is dead code for the compiler.
macro_rules! cases {
    ($($scope:ident $name:ident),* $(,)?) => {
        pub(crate) const CASES: &[$crate::harness::case::Case] = &[$(
            $crate::harness::case::Case {
                name: concat!(module_path!(), "::", stringify!($name)),
                scope: $crate::harness::case::Scope::$scope,
                run: $name,
            }
        ),*];
    };
}
pub(crate) use cases;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_set_is_a_part_of_the_full_set() {
        assert!(Set::Full.has(Scope::Core) && Set::Full.has(Scope::Full));
        assert!(Set::Core.has(Scope::Core) && !Set::Core.has(Scope::Full));
    }

    #[test]
    fn names_of_cases_are_different() {
        let mut names: Vec<&str> = crate::cases::all().iter().map(Case::short_name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count > 50, "{count} cases");
    }
}
