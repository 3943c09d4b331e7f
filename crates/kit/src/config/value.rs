//! The types a configuration key may have: how they are read from TOML and from a variable, and shown.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::DeValue;

/// A type that a key may have.
pub(super) trait Value: Sized + Clone {
    /// What is expected, for people: 'a whole number'.
    fn expected() -> String;
    /// From a value of the file; `None` if it is of another type or form.
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;
    /// From a variable's text.
    fn from_text(text: &str) -> Option<Self>;
    /// As it would stand in the file.
    fn to_toml(&self) -> String;
}

/// Which values of a type a key allows.
pub(super) trait Limits<T> {
    /// Whether `value` is allowed.
    fn allows(&self, value: &T) -> bool;
    /// For people, after what is expected: 'from 1 to 9'; empty when everything is allowed.
    fn describe(&self) -> String;
}

/// Every value of the type.
pub(super) struct Anything;

impl<T> Limits<T> for Anything {
    fn allows(&self, _: &T) -> bool {
        true
    }

    fn describe(&self) -> String {
        String::new()
    }
}

impl<T: PartialOrd + Display> Limits<T> for RangeInclusive<T> {
    fn allows(&self, value: &T) -> bool {
        self.contains(value)
    }

    fn describe(&self) -> String {
        format!("from {} to {}", self.start(), self.end())
    }
}

/// Each entry of a list within a range, at most so many entries.
pub(super) struct Each<T>(pub(super) RangeInclusive<T>, pub(super) usize);

impl<T: PartialOrd + Display> Limits<Vec<T>> for Each<T> {
    fn allows(&self, values: &Vec<T>) -> bool {
        values.len() <= self.1 && values.iter().all(|value| self.0.contains(value))
    }

    fn describe(&self) -> String {
        format!("at most {}, each {}", self.1, Limits::<T>::describe(&self.0))
    }
}

/// A text that a function says yes to.
pub(super) struct Text(pub(super) fn(&str) -> bool, pub(super) &'static str);

impl Limits<String> for Text {
    fn allows(&self, text: &String) -> bool {
        (self.0)(text)
    }

    fn describe(&self) -> String {
        self.1.to_owned()
    }
}

/// The path of a program, or its name.
pub(super) struct Program;

impl Limits<PathBuf> for Program {
    fn allows(&self, path: &PathBuf) -> bool {
        !path.as_os_str().is_empty()
    }

    fn describe(&self) -> String {
        "of a program".to_owned()
    }
}

macro_rules! whole_number {
    ($($kind:ty),+) => {$(
        impl Value for $kind {
            fn expected() -> String {
                "a whole number".to_owned()
            }

            fn from_toml(value: &DeValue<'_>) -> Option<Self> {
                let number = value.as_integer()?;
                <$kind>::from_str_radix(number.as_str(), number.radix()).ok()
            }

            fn from_text(text: &str) -> Option<Self> {
                text.trim().replace('_', "").parse().ok()
            }

            fn to_toml(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

whole_number!(u16, u32, u64, usize);

impl Value for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.trim() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for String {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_toml(&self) -> String {
        quoted(self)
    }
}

macro_rules! parsed_text {
    ($($kind:ty: $expected:literal, $show:expr;)+) => {$(
        impl Value for $kind {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn from_toml(value: &DeValue<'_>) -> Option<Self> {
                Self::from_text(value.as_str()?)
            }

            fn from_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }

            fn to_toml(&self) -> String {
                let show: fn(&$kind) -> String = $show;
                quoted(&show(self))
            }
        }
    )+};
}

parsed_text! {
    SocketAddr: "an address and port such as \"127.0.0.1:8080\"", |value| value.to_string();
    PathBuf: "a path", |value| value.display().to_string();
    Network: "an address or network such as \"10.0.0.0/8\"", |value| value.to_string();
}

/// An empty text stands for 'none'.
impl Value for Option<SocketAddr> {
    fn expected() -> String {
        format!("{}, or \"\" for none", SocketAddr::expected())
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        Self::from_text(value.as_str()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.trim() {
            "" => Some(None),
            text => text.parse().ok().map(Some),
        }
    }

    fn to_toml(&self) -> String {
        self.as_ref().map_or_else(|| "\"\"".to_owned(), Value::to_toml)
    }
}

/// In a variable the entries are separated by commas.
impl<T: Value> Value for Vec<T> {
    fn expected() -> String {
        format!("a list, each entry {}", T::expected())
    }

    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|entry| T::from_toml(entry.get_ref())).collect()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(T::from_text).collect()
    }

    fn to_toml(&self) -> String {
        let entries: Vec<String> = self.iter().map(Value::to_toml).collect();
        format!("[{}]", entries.join(", "))
    }
}

/// An address, or all addresses that share its first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether `address` lies in this network. An IPv4 address that is written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.prefix_bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.map_or(Ok(longest), str::parse).map_err(|_| ())?;
        (prefix_bits <= longest).then_some(Self { address, prefix_bits }).ok_or(())
    }
}

impl Display for Network {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.address, self.prefix_bits)
    }
}

/// An enum whose values are words in the file.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The word that stands for it in the file and in answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl $crate::config::value::Value for $name {
            fn expected() -> String {
                format!("one of {}", [$(concat!("\"", $word, "\"")),+].join(", "))
            }

            fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
                Self::from_text(value.as_str()?)
            }

            fn from_text(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }

            fn to_toml(&self) -> String {
                format!("\"{}\"", self.as_str())
            }
        }
    };
}
pub(super) use choice;
