# Reference answers of test_declines.py. Run: Rscript --vanilla answers.R panels.csv > answers.json
# Base R only, dense matrices throughout: nothing is shared with the closed forms of eduq.
panels <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
rhos <- seq(0, .8, by = .1)

# Fixed effects: a line for every unit, an effect for every period but the first and the last.
design <- function(d) {
  unit <- factor(d$unit); years <- sort(unique(d$period))
  t <- d$period - mean(range(years))
  x <- cbind(model.matrix(~ 0 + unit), model.matrix(~ 0 + unit) * t)
  for (year in years[-c(1, length(years))]) x <- cbind(x, as.numeric(d$period == year))
  x
}
covariance <- function(d, omega2, rho, v = d$std_error^2) {
  same <- outer(d$unit, d$unit, "==")
  apart <- abs(outer(d$period, d$period, "-"))
  shock <- if (rho == 0) diag(nrow(d)) else ifelse(same, rho^apart, 0)
  diag(v) + omega2 * shock
}
reml <- function(omega2, d, x, rho, v = d$std_error^2) {
  cov <- covariance(d, omega2, rho, v)
  half <- chol(cov); root <- backsolve(half, x, transpose = TRUE); y <- backsolve(half, d$estimate, transpose = TRUE)
  q <- qr(root)
  2 * sum(log(diag(half))) + 2 * sum(log(abs(diag(qr.R(q))))) + sum(qr.resid(q, y)^2)
}
quadratic <- function(omega2, d, x) {
  w <- 1 / (d$std_error^2 + omega2)
  sum(w * lm.wfit(x, d$estimate, w)$residuals^2)
}
fit <- function(d, x, rho, v = d$std_error^2) {
  found <- optimize(reml, c(0, .2), d = d, x = x, rho = rho, v = v, tol = 1e-12)
  at_zero <- reml(0, d, x, rho, v)
  if (at_zero <= found$objective) c(0, at_zero) else c(found$minimum, found$objective)
}
# Slopes relative to their precision-weighted mean, and the standard error of each contrast, by dense GLS.
slopes <- function(d, x, omega2, rho) {
  inverse <- solve(covariance(d, omega2, rho))
  information <- t(x) %*% inverse %*% x
  b <- solve(information, t(x) %*% inverse %*% d$estimate)
  units <- length(unique(d$unit)); where <- units + seq_len(units)
  precision <- sapply(unique(d$unit), function(u) {
    own <- d$unit == u; z <- cbind(1, d$period[own])
    1 / solve(t(z) %*% solve(covariance(d[own, ], omega2, rho)) %*% z)[2, 2]
  })
  weights <- precision / sum(precision)
  contrast <- diag(units) - matrix(weights, units, units, byrow = TRUE)
  cov <- solve(information)[where, where]
  list(slope = as.vector(contrast %*% b[where]), se = sqrt(diag(contrast %*% cov %*% t(contrast))))
}
show <- function(values) paste0("[", paste(format(values, digits = 15, trim = TRUE), collapse = ", "), "]")
answer <- function(case) {
  d <- panels[panels$case == case, ]; d <- d[d$unit %in% names(which(table(d$unit) > 2)), ]
  x <- design(d); df <- nrow(d) - qr(x)$rank
  omega2 <- fit(d, x, 0)[1]
  cross <- function(p) {
    wanted <- qchisq(p, df)
    if (quadratic(0, d, x) <= wanted) 0 else uniroot(function(o) quadratic(o, d, x) - wanted, c(0, 2), tol = 1e-13)$root
  }
  # the projected likelihood gives every cell of a unit the unit's mean sampling variance
  v <- ave(d$std_error^2, d$unit)
  profile <- sapply(rhos, function(rho) fit(d, x, rho, v))
  free <- slopes(d, x, omega2, 0); third <- slopes(d, x, .012, .3)
  paste0("\"", case, "\": {\"df\": ", df, ", \"omega2\": ", show(omega2),
         ", \"interval\": ", show(c(cross(.975), cross(.025))),
         ",\n  \"profile_omega2\": ", show(profile[1, ]), ",\n  \"profile_objective\": ", show(profile[2, ]),
         ",\n  \"slope\": ", show(free$slope), ",\n  \"se\": ", show(free$se),
         ",\n  \"slope_rho3\": ", show(third$slope), ",\n  \"se_rho3\": ", show(third$se), "}")
}
cat("{", paste(sapply(unique(panels$case), answer), collapse = ",\n "), "}\n", sep = "")
