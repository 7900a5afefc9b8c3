# Cross-validates with glmnet tables of doubles, for cross_validation.py, which says how they are stored:
#
#     Rscript cross_validation.R FOLDER THRESH
#
# FOLDER/jobs.txt has a line for each job: table, rows, columns, alpha, lambdas. After the columns come label, weight and fold. To
# FOLDER/curves.txt go, for each job, a line with the deviance of each fold by lambda. cv.glmnet itself cuts probabilities off at 1e-5:
# its predictions are kept, and their deviances are summed here.
suppressMessages(library(glmnet))
folder <- commandArgs(TRUE)[1]
thresh <- as.numeric(commandArgs(TRUE)[2])
glmnet.control(fdev = 0, devmax = 1, mnlam = 1, pmin = 1e-12)
numbers <- function(text) as.numeric(strsplit(text, " ")[[1]])
out <- file(file.path(folder, "curves.txt"), "w")
for (line in readLines(file.path(folder, "jobs.txt"))) {
  job <- strsplit(line, "\t")[[1]]
  rows <- as.integer(job[2]); columns <- as.integer(job[3])
  all <- matrix(readBin(file.path(folder, job[1]), "double", rows * (columns + 3)), nrow = rows)
  x <- all[, 1:columns]; y <- all[, columns + 1]; w <- all[, columns + 2]; fold <- all[, columns + 3]
  lambdas <- numbers(job[5])
  fit <- cv.glmnet(x, y, family = "binomial", weights = w, alpha = as.numeric(job[4]), lambda = lambdas, foldid = fold,
                   keep = TRUE, thresh = thresh, maxit = 1e8)
  z <- fit$fit.preval[, seq_along(lambdas)]
  deviance <- 2 * (pmax(z, 0) + log1p(exp(-abs(z))) - y * z)
  for (k in sort(unique(fold))) {
    own <- fold == k
    curve <- colSums(deviance[own, , drop = FALSE] * w[own]) / sum(w[own])
    writeLines(paste(format(curve, digits = 17, trim = TRUE), collapse = " "), out)
  }
}
close(out)
