# Reference answers of another author's programme: metafor's rma() and its Q-profile interval (Viechtbauer 2010).
# Run: Rscript --vanilla metafor.R panels.csv > metafor.json
suppressMessages(library(metafor))
panels <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
show <- function(values) paste0("[", paste(format(values, digits = 15, trim = TRUE), collapse = ", "), "]")

# The model as methods of meta-analysis write it: every cell a study of known variance; lines and periods are moderators.
answer <- function(case) {
  d <- panels[panels$case == case, ]; d <- d[d$unit %in% names(which(table(d$unit) > 2)), ]
  years <- sort(unique(d$period))
  d$t <- d$period - mean(range(years))
  inner <- sapply(years[-c(1, length(years))], function(year) as.numeric(d$period == year))
  d$unit <- factor(d$unit)
  x <- cbind(model.matrix(~ 0 + unit + unit:t, d), inner)
  fit <- rma(yi = d$estimate, vi = d$std_error^2, mods = x, intercept = FALSE, method = "REML", test = "z",
             control = list(threshold = 1e-12, maxiter = 10000, tau2.max = 2))
  profile <- confint(fit, control = list(tol = 1e-12, tau2.max = 2))$random[1, ]
  units <- nlevels(d$unit); where <- units + seq_len(units)
  paste0("\"", case, "\": {\"omega2\": ", show(fit$tau2), ", \"interval\": ", show(profile[2:3]), ", \"df\": ", fit$k - fit$p,
         ",\n  \"raw_slope\": ", show(as.vector(fit$beta)[where]),
         ",\n  \"raw_se\": ", show(fit$se[where]), "}")
}
cat("{", paste(sapply(unique(panels$case), answer), collapse = ",\n "), "}\n", sep = "")
