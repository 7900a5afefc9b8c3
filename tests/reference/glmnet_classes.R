# Fits elastic nets of several classes with glmnet to tables of doubles, for glmnet_classes.py:
#
#     Rscript glmnet_classes.R FOLDER THRESH
#
# FOLDER/jobs.txt has a line for each fit: table (columns, then the number of the class), rows, columns, alpha, lambdas.
# Coefficients go to FOLDER/coefficients.txt, a line for each fit, lambda and class, the intercept first.
suppressMessages(library(glmnet))
folder <- commandArgs(TRUE)[1]
thresh <- as.numeric(commandArgs(TRUE)[2])
glmnet.control(fdev = 0, devmax = 1, mnlam = 1, pmin = 1e-12)
out <- file(file.path(folder, "coefficients.txt"), "w")
for (line in readLines(file.path(folder, "jobs.txt"))) {
  job <- strsplit(line, "\t")[[1]]
  rows <- as.integer(job[2]); columns <- as.integer(job[3])
  all <- matrix(readBin(file.path(folder, job[1]), "double", rows * (columns + 1)), nrow = rows)
  lambdas <- as.numeric(strsplit(job[5], " ")[[1]])
  fit <- glmnet(all[, 1:columns], factor(all[, columns + 1]), family = "multinomial", alpha = as.numeric(job[4]),
                lambda = lambdas, thresh = thresh, maxit = 1e9)
  beta <- lapply(coef(fit), as.matrix)
  for (i in seq_along(lambdas)) for (of_class in beta)
    writeLines(paste(format(of_class[, i], digits = 17, trim = TRUE), collapse = " "), out)
}
close(out)
