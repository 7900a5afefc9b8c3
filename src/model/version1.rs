//! Names of version 1 of the file: what a model has for each margin is a list in memory, and in the file where there are
//! several margins. The only margin of two classes has a single value there, under a name of its own.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::inference::Inference;
use super::{numbers, of_two};

/// A module for `#[serde(flatten, with = ..)]`: `one` stands for a list of one value, `several` for a longer one.
macro_rules! one_or_several {
    ($module:ident, $value:ty, { $($names:tt)* }) => {
        pub(super) mod $module {
            use super::*;

            #[derive(Serialize, Deserialize)]
            struct Names { $($names)* }

            pub(in crate::model) fn serialize<S: Serializer>(values: &[$value], to: S) -> Result<S::Ok, S::Error> {
                match values {
                    [one] => Names { one: (*one).into(), several: Vec::new() },
                    several => Names { one: None, several: several.to_vec() },
                }
                .serialize(to)
            }

            /// No model has both names, or a list of one: they count as if neither was there.
            pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<$value>, D::Error> {
                let Names { one, several } = Names::deserialize(from)?;
                Ok(match (one, several.len()) {
                    (Some(one), 0) => vec![one.into()],
                    (None, 2..) => several,
                    _ => Vec::new(),
                })
            }
        }
    };
}

one_or_several!(intercepts, f64, {
    #[serde(rename = "intercept", default, deserialize_with = "of_two", skip_serializing_if = "Option::is_none")]
    one: Option<f64>,
    #[serde(rename = "intercepts", default, deserialize_with = "numbers", skip_serializing_if = "Vec::is_empty")]
    several: Vec<f64>,
});

one_or_several!(intercepts_inference, Option<Inference>, {
    #[serde(rename = "intercept_inference", skip_serializing_if = "Option::is_none")]
    one: Option<Inference>,
    #[serde(rename = "intercepts_inference", default, skip_serializing_if = "Vec::is_empty")]
    several: Vec<Option<Inference>>,
});

one_or_several!(coefficients, f64, {
    #[serde(rename = "coefficient", default, deserialize_with = "of_two", skip_serializing_if = "Option::is_none")]
    one: Option<f64>,
    #[serde(rename = "coefficients", default, deserialize_with = "numbers", skip_serializing_if = "Vec::is_empty")]
    several: Vec<f64>,
});

one_or_several!(inference, Option<Inference>, {
    #[serde(flatten)]
    one: Option<Inference>,
    #[serde(rename = "inference", default, skip_serializing_if = "Vec::is_empty")]
    several: Vec<Option<Inference>>,
});

/// The column of offsets of two classes, or those of several.
pub(super) mod offsets {
    use super::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Names {
        #[serde(rename = "offset", default, skip_serializing_if = "Option::is_none")]
        one: Option<String>,
        #[serde(rename = "offsets", default, skip_serializing_if = "Vec::is_empty")]
        several: Vec<Option<String>>,
    }

    pub(in crate::model) fn serialize<S: Serializer>(offsets: &[Option<String>], to: S) -> Result<S::Ok, S::Error> {
        match offsets {
            [one] => Names { one: one.clone(), several: Vec::new() },
            several => Names { one: None, several: several.to_vec() },
        }
        .serialize(to)
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Option<String>>, D::Error> {
        let Names { one, several } = Names::deserialize(from)?;
        Ok(if one.is_some() { vec![one] } else { several })
    }
}

/// The number of the only margin of two classes, or a list of those of several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(Option<f64>),
    Several(Vec<Option<f64>>),
}

impl OneOrSeveral {
    fn of(values: &[f64]) -> Self {
        match values {
            [one] => Self::One(Some(*one)),
            several => Self::Several(several.iter().copied().map(Some).collect()),
        }
    }

    fn into_list(self) -> Vec<f64> {
        let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
        match self {
            Self::One(one) => vec![number(one)],
            Self::Several(several) => several.into_iter().map(number).collect(),
        }
    }
}

/// Numbers of margins along a path, `[lambdas][margins]`.
pub(super) mod of_margins {
    use super::{Deserialize, Deserializer, OneOrSeveral, Serialize, Serializer};

    pub(in crate::model) fn serialize<S: Serializer>(lists: &[Vec<f64>], to: S) -> Result<S::Ok, S::Error> {
        lists.iter().map(|values| OneOrSeveral::of(values)).collect::<Vec<_>>().serialize(to)
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<f64>>, D::Error> {
        let lists: Vec<OneOrSeveral> = Vec::deserialize(from)?;
        Ok(lists.into_iter().map(OneOrSeveral::into_list).collect())
    }
}

/// The same of features that are selected, each after its place, `[lambdas][columns][margins]`.
pub(super) mod of_features {
    use super::{Deserialize, Deserializer, OneOrSeveral, Serialize, Serializer};

    type Features<T> = Vec<Vec<(usize, T)>>;

    pub(in crate::model) fn serialize<S: Serializer>(lists: &Features<Vec<f64>>, to: S) -> Result<S::Ok, S::Error> {
        let of_feature = |(place, values): &(usize, Vec<f64>)| (*place, OneOrSeveral::of(values));
        let lists: Features<OneOrSeveral> = lists.iter().map(|list| list.iter().map(of_feature).collect()).collect();
        lists.serialize(to)
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Features<Vec<f64>>, D::Error> {
        let lists: Features<OneOrSeveral> = Vec::deserialize(from)?;
        let of_feature = |(place, values): (usize, OneOrSeveral)| (place, values.into_list());
        Ok(lists.into_iter().map(|list| list.into_iter().map(of_feature).collect()).collect())
    }
}
