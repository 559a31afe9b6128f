# Multilevel growth with lme4. Started by bench_growth.py; prints the seconds, deviance and variances of each model.
suppressPackageStartupMessages(library(lme4))
folder <- commandArgs(trailingOnly = TRUE)[1]
n <- as.integer(commandArgs(trailingOnly = TRUE)[2])
column <- function(name, what) readBin(file.path(folder, name), what, n)
d <- data.frame(school_id = factor(column("unit", "integer")), before = column("before", "double"), after = column("after", "double"))
models <- list(intercept = after ~ before + (1 | school_id), slope = after ~ before + (before | school_id))
for (name in names(models)) {
  seconds <- system.time(fit <- suppressWarnings(lmer(models[[name]], d)))[["elapsed"]]
  cat(name, seconds, format(REMLcrit(fit), digits = 15), format(sigma(fit)^2, digits = 15),
      format(fixef(fit)[["before"]], digits = 15), sep = " ")
  cat("\n")
}
