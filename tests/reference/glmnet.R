# Fits elastic nets with glmnet to tables of doubles, for glmnet.py, which says how they are stored:
#
#     Rscript glmnet.R FOLDER THRESH
#
# FOLDER/jobs.txt has a line for each fit: table, rows, columns, alpha, lambdas, penalty factors, lower and upper limits, whether
# there are weights and offsets, and an intercept. Coefficients go to FOLDER/coefficients.txt, a line for each fit and lambda, the
# intercept first.
suppressMessages(library(glmnet))
folder <- commandArgs(TRUE)[1]
thresh <- as.numeric(commandArgs(TRUE)[2])
glmnet.control(fdev = 0, devmax = 1, mnlam = 1, pmin = 1e-12)
numbers <- function(text) as.numeric(strsplit(text, " ")[[1]])
out <- file(file.path(folder, "coefficients.txt"), "w")
for (line in readLines(file.path(folder, "jobs.txt"))) {
  job <- strsplit(line, "\t")[[1]]
  rows <- as.integer(job[2]); columns <- as.integer(job[3])
  has <- as.logical(strsplit(job[9], " ")[[1]])
  values <- readBin(file.path(folder, job[1]), "double", rows * (columns + 3))
  all <- matrix(values, nrow = rows)
  x <- all[, 1:columns]; y <- all[, columns + 1]
  w <- if (has[1]) all[, columns + 2] else rep(1, rows)
  o <- if (has[2]) all[, columns + 3] else NULL
  lambdas <- numbers(job[5])
  # glmnet scales the factors to a mean of 1; ours are taken as they are.
  factors <- numbers(job[6])
  fit <- glmnet(x, y, family = "binomial", weights = w, offset = o, alpha = as.numeric(job[4]), lambda = lambdas * mean(factors),
                penalty.factor = factors, lower.limits = numbers(job[7]), upper.limits = numbers(job[8]),
                intercept = has[3], thresh = thresh, maxit = 1e8)
  beta <- as.matrix(coef(fit))
  for (i in seq_along(lambdas)) writeLines(paste(format(beta[, i], digits = 17, trim = TRUE), collapse = " "), out)
}
close(out)
