# Multiple membership by lme4: the same formula, with the shares in place of the ones of Z. Run: Rscript multilevel_weights.R
suppressMessages({library(lme4); library(Matrix); library(jsonlite)})
rows <- read.csv("multilevel_weights.csv", colClasses = c(pupil = "character", teacher = "character"))
people <- rows[!duplicated(rows$pupil), ]
people <- people[order(people$pupil), ]
units <- sort(unique(rows$teacher))
people$one <- factor(units[1 + (seq_len(nrow(people)) - 1) %% length(units)], levels = units)
Z <- sparseMatrix(i = match(rows$pupil, people$pupil), j = match(rows$teacher, units), x = rows$share,
                  dims = c(nrow(people), length(units)))
answers <- list()
for (reml in c(TRUE, FALSE)) {
  parts <- lFormula(y ~ x1 + sex + (1 | one), data = people, REML = reml)
  parts$reTrms$Zt <- as(t(Z), "CsparseMatrix")
  deviance <- do.call(mkLmerDevfun, parts)
  found <- optimizeLmer(deviance, optimizer = "bobyqa", control = list(rhoend = 1e-12))
  fit <- mkMerMod(environment(deviance), found, parts$reTrms, fr = parts$fr)
  u <- ranef(fit, condVar = FALSE)$one[["(Intercept)"]]
  s2 <- sigma(fit)^2; lambda <- getME(fit, "theta")[[1]]^2
  spread <- diag(s2 * lambda * solve(diag(length(units)) + lambda * as.matrix(t(Z) %*% Z)))
  answers[[if (reml) "reml" else "ml"]] <- list(
    fixed = unname(fixef(fit)), fixed_se = unname(sqrt(diag(as.matrix(vcov(fit))))),
    var_unit = s2 * lambda, var_residual = s2,
    deviance = if (reml) REMLcrit(fit) else unname(-2 * logLik(fit)[1]),
    units = units, blup = u, cond_se = unname(sqrt(spread)))
}
write(toJSON(answers, digits = 15, auto_unbox = TRUE, pretty = TRUE), "multilevel_weights.json")
