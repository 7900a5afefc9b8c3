# Writes what R's `survey` makes of nhanes_w.parquet (its data set `nhanes` where cholesterol is known), with the sampling
# weights alone, as JSON: the flags that ask the program for the same, coefficients, standard errors and deviances.
#
#     Rscript tests/reference/survey.R > tests/reference/r/nhanes_w.ref.json
#
# Needs survey (4.1) and jsonlite.

suppressMessages(library(survey))
data(nhanes)
rows <- nhanes[!is.na(nhanes$HI_CHOL), ]
design <- svydesign(ids = ~1, weights = ~WTMEC2YR, data = rows)
fit <- svyglm(HI_CHOL ~ factor(race) + agecat + factor(RIAGENDR), design = design, family = quasibinomial(),
              control = glm.control(epsilon = 1e-14, maxit = 100))
names <- c("intercept", "race=2", "race=3", "race=4", "agecat=(19,39]", "agecat=(39,59]", "agecat=(59,Inf]", "RIAGENDR=2")
stopifnot(length(names) == length(coef(fit)))
answer <- list(
    name = "nhanes_w",
    args = c("--label", "HI_CHOL", "--features", "race,agecat,RIAGENDR", "--categorical", "race,RIAGENDR", "--weight",
             "WTMEC2YR", "--weight-kind", "sampling", "--inference"),
    formula = "HI_CHOL ~ factor(race) + agecat + factor(RIAGENDR)",
    rows = nrow(rows), weights = sum(rows$WTMEC2YR), names = names, coef = unname(coef(fit)),
    se = unname(sqrt(diag(vcov(fit)))), deviance = deviance(fit), null_deviance = fit$null.deviance
)
cat(jsonlite::toJSON(answer, digits = 15, auto_unbox = TRUE), "\n", sep = "")
