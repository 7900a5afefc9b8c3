# Judges which columns the tests' elimination in whole numbers calls explained, by R: reads the tables that
# `cargo test --test aliasing` wrote to a folder.
#
#     Rscript tests/reference/aliasing.R FOLDER
#
# R's own order: a column goes if those before it explain it, by the pivoted QR of `lm` and `glm` (LINPACK's dqrdc2).
# Twice: as `lm` would on the columns as they are, at the tolerance of `glm`, and on columns about their means, where a
# column at a distance of 1e-4 is far above the tolerance whatever its mean. Needs nothing beyond base R.

folder <- commandArgs(trailingOnly = TRUE)[1]
tables <- strsplit(readLines(file.path(folder, "tables.tsv")), "\t", fixed = TRUE)
differing <- 0
dropped <- 0
for (table in tables) {
    rows <- as.integer(table[2])
    names <- strsplit(table[3], "|", fixed = TRUE)[[1]]
    said <- if (length(table) < 4) character() else strsplit(table[4], "|", fixed = TRUE)[[1]]
    X <- matrix(readBin(file.path(folder, table[1]), "double", rows * length(names), endian = "little"), rows)
    fit <- lm.fit(cbind(1, X), rep(0:1, length.out = rows), tol = 1e-11)
    by_lm <- names[is.na(fit$coefficients[-1])]
    centred <- qr(scale(X), tol = 1e-8)
    by_qr <- names[sort(centred$pivot[-seq_len(centred$rank)])]
    dropped <- dropped + length(by_qr)
    if (!identical(by_lm, said) || !identical(by_qr, said)) {
        differing <- differing + 1
        cat(table[1], ": said ", toString(said), "; lm ", toString(by_lm), "; qr ", toString(by_qr), "\n", sep = "")
    }
}
cat(length(tables), "tables,", dropped, "explained columns,", differing, "tables differ\n")
quit(status = if (differing > 0 || length(tables) == 0) 1 else 0)
