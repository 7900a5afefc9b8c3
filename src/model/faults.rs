//! What is wrong with a model that was read, if something is.

use std::collections::HashSet;

use crate::data::{Class, Level, level_name};
use crate::model::{CategoryInfo, FeatureInfo, LabelInfo, Model};

impl Model {
    /// What is wrong with the classes, if something is: as many coefficients everywhere as the label asks for.
    pub(super) fn fault_in_classes(&self) -> Option<String> {
        let LabelInfo { classes, positive, .. } = &self.label;
        let count = classes.len();
        let margins = if positive.is_some() { 1 } else { count };
        let is_nan = |class: &Class| matches!(class, Class::Number(number) if number.is_nan());
        let is_positive = |class: &Class, positive| class == positive || is_nan(class) && is_nan(positive);
        if let Some(positive) = positive
            && (count != 2 || !classes.iter().any(|class| is_positive(class, positive)))
        {
            return Some(format!("the positive class {positive} is none of two"));
        }
        if count < 2 || (1..count).any(|place| classes[..place].contains(&classes[place])) {
            return Some(format!("the label has {count} classes, or one of them twice"));
        }
        if self.intercepts.len() != margins {
            return Some(format!("the intercept is not one for each of the {count} classes"));
        }
        let odd = self.features.iter().find(|feature| feature.coefficients.len() != margins);
        odd.map(|feature| {
            format!("the feature `{}` has not a coefficient for each of the {count} classes", feature.name)
        })
    }

    /// What is wrong with the levels, if something is: each category has those of its own, in their order.
    pub(super) fn fault_in_levels(&self) -> Option<String> {
        let of_categories = self
            .categories
            .iter()
            .flat_map(|category| (1..category.levels.len()).map(|level| (&category.column, category.name_of(level))));
        let first = self.features.iter().position(|feature| feature.category.is_some()).unwrap_or(self.features.len());
        let mut levels = self.features[first..].iter();
        for (column, name) in of_categories {
            let is_here = |feature: &FeatureInfo| feature.category.as_ref() == Some(column) && feature.name == name;
            if !levels.next().is_some_and(is_here) {
                return Some(format!("the level `{name}` is not among the features where it belongs"));
            }
        }
        if let Some(feature) = levels.next() {
            return Some(format!("the feature `{}` is a level of no category", feature.name));
        }
        self.categories.iter().enumerate().find_map(|(index, category)| {
            let CategoryInfo { column, kind, levels, rows } = category;
            let fits = |level: &Level| match level {
                None => true,
                Some(Class::Text(_)) => kind == "text",
                Some(Class::Boolean(_)) => kind == "boolean",
                Some(Class::Number(number)) => number.is_finite() && (kind == "numeric" || kind == "time"),
            };
            let what = if levels.is_empty() || rows.len() != levels.len() {
                format!("has {} levels and counts the rows of {}", levels.len(), rows.len())
            } else if let Some(level) = levels.iter().find(|level| !fits(level)) {
                format!("is {kind} and has the level {}", level_name(level))
            } else if (1..levels.len()).any(|place| levels[..place].contains(&levels[place])) {
                "has a level twice".into()
            } else if self.categories[..index].iter().any(|other| other.column == *column) {
                "is there twice".into()
            } else {
                return None;
            };
            Some(format!("the category `{column}` {what}"))
        })
    }

    /// What is wrong with the columns, if something is: a column has one part in the model, or it would count twice.
    pub(super) fn fault_in_columns(&self) -> Option<String> {
        let mut names = HashSet::new();
        if let Some(twice) = self.features.iter().find(|feature| !names.insert(&feature.name)) {
            return Some(format!("the feature `{}` is there twice", twice.name));
        }
        let mut indicated = HashSet::new();
        let columns = self.features.iter().filter(|feature| feature.category.is_none());
        let indicates = columns.clone().filter_map(|feature| feature.indicates.as_ref());
        if let Some(twice) = indicates.into_iter().find(|column| !indicated.insert(*column)) {
            return Some(format!("two features say where `{twice}` is missing"));
        }
        let mut columns = columns.filter(|feature| feature.indicates.is_none());
        let both = columns.find(|feature| self.categories.iter().any(|category| category.column == feature.name));
        both.map(|feature| format!("the column `{}` is a feature and a category", feature.name))
    }
}
