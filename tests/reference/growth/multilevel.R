# Reference answers of test_multilevel_reference.py. Run: Rscript --vanilla multilevel.R multilevel.csv > multilevel.json
# and: Rscript --vanilla multilevel.R exam_london_4059.csv > london.json
# Needs lme4 (Debian: r-cran-lme4). The optimiser runs to the last digits, beyond lme4's defaults.
suppressPackageStartupMessages(library(lme4))
d <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
if ("class" %in% names(d)) d$room <- paste(d$school, d$class)
tight <- function(optimizer, options)
  lmerControl(optimizer = optimizer, calc.derivs = FALSE, check.conv.singular = "ignore", optCtrl = options)
show <- function(values) paste0("[", paste(format(as.vector(values), digits = 16, trim = TRUE), collapse = ", "), "]")
words <- function(values) paste0("[", paste0("\"", values, "\"", collapse = ", "), "]")
answer <- function(name, formula, reml) {
  fit <- lmer(formula, d, REML = reml, control = tight("bobyqa", list(rhoend = 1e-9, maxfun = 1e6)))
  fit <- update(fit, start = getME(fit, "theta"),
                control = tight("nloptwrap", list(xtol_abs = 1e-13, ftol_abs = 1e-14, maxeval = 1e6)))
  units <- ranef(fit, condVar = TRUE)$school
  var <- VarCorr(fit)
  joint <- attr(units, "postVar")
  errors <- sapply(seq_len(nrow(units)), function(j) sqrt(diag(matrix(joint[, , j], ncol(units)))))
  lines <- c(
    paste0("\"reml\": ", if (reml) "true" else "false"),
    paste0("\"deviance\": ", format(if (reml) REMLcrit(fit) else -2 * as.numeric(logLik(fit)), digits = 16)),
    paste0("\"fixed\": ", show(fixef(fit))), paste0("\"fixed_se\": ", show(sqrt(diag(as.matrix(vcov(fit)))))),
    paste0("\"names\": ", words(names(fixef(fit)))),
    paste0("\"var_unit\": ", show(matrix(var$school, ncol(units)))),
    paste0("\"var_residual\": ", format(sigma(fit)^2, digits = 16)),
    paste0("\"units\": ", words(rownames(units))),
    paste0("\"blup\": ", show(t(as.matrix(units)))), paste0("\"cond_se\": ", show(errors)))
  if (!is.null(var$room)) {
    rooms <- ranef(fit, condVar = TRUE)$room
    lines <- c(lines, paste0("\"var_class\": ", format(as.numeric(var$room), digits = 16)),
      paste0("\"classes\": ", words(rownames(rooms))), paste0("\"class_blup\": ", show(rooms[, 1])),
      paste0("\"class_se\": ", show(sqrt(as.vector(attr(rooms, "postVar"))))))
  }
  paste0("\"", name, "_", if (reml) "reml" else "ml", "\": {", paste(lines, collapse = ",\n  "), "}")
}
models <- list(
  intercept = y ~ x1 + (1 | school),
  priors = y ~ x1 + x2 + sex + (1 | school),
  slope = y ~ x1 + (x1 | school),
  slopes = y ~ x1 + x2 + (x1 + x2 | school),
  three = y ~ x1 + x2 + (1 | school) + (1 | room),
  alike = alike ~ x1 + (1 | school),
  alike_slope = alike ~ x1 + (x1 | school))
if ("normexam" %in% names(d)) models <- list(
  intercept = normexam ~ standLRT + (1 | school),
  slope = normexam ~ standLRT + (standLRT | school))
found <- c()
for (name in names(models)) for (reml in c(FALSE, TRUE)) found <- c(found, answer(name, models[[name]], reml))
cat("{", paste(found, collapse = ",\n"), "}\n", sep = "")
