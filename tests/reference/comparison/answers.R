# Reference answers of test_comparison_reference.py. Run: Rscript --vanilla answers.R units.csv > answers.json
# metafor for the empirical-Bayes part and the unwinsorised over-dispersion, base R (loops, dense matrices, integrate) for the rest.
suppressPackageStartupMessages(library(metafor))
units <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
z975 <- qnorm(.975)

# Contrast with the mean of all pupils, by the full matrix of contrasts.
contrasts <- function(x, s, w) {
  w <- w / sum(w); C <- diag(length(x)) - matrix(w, length(x), length(x), byrow = TRUE)
  value <- as.vector(C %*% x); se <- sqrt(diag(C %*% diag(s^2) %*% t(C)))
  p <- 2 * pnorm(-abs(value / se))
  list(contrast = value, contrast_se = se, p_value = p, q_value = p.adjust(p, "BH"))
}
# j above k when the difference exceeds the studentised range quantile over sqrt 2; ranks counted pair by pair.
# Rates: j above k when Newcombe's interval, of score limits found by root search, leaves out 0.
score_limit <- function(p, n, cut, side) {
  end <- if (side < 0) 0 else 1
  if (p == end) return(end)
  uniroot(function(t) (p - t) - -side * cut * sqrt(t * (1 - t) / n), if (side < 0) c(1e-15, p - 1e-12) else c(p + 1e-12, 1 - 1e-15), tol = 1e-14)$root
}
rate_places <- function(x, n) {
  able <- which(n >= 10); S <- length(able); cut <- qtukey(.95, S, Inf) / sqrt(2)
  l <- u <- lower <- upper <- rep(NA, length(x))
  for (j in able) { l[j] <- score_limit(x[j], n[j], cut, -1); u[j] <- score_limit(x[j], n[j], cut, 1) }
  for (j in able) {
    clear <- function(a, b) x[a] - x[b] > sqrt((x[a] - l[a])^2 + (u[b] - x[b])^2)
    lower[j] <- 1 + sum(sapply(able, clear, b = j)); upper[j] <- S - sum(sapply(able, clear, a = j))
  }
  list(cut = cut, rank_lower = lower, rank_upper = upper)
}
places <- function(x, s, n) {
  able <- which(n >= 10); S <- length(able); cut <- qtukey(.95, S, Inf) / sqrt(2)
  lower <- upper <- p <- rep(NA, length(x))
  for (j in able) {
    above <- below <- 0; lead <- -Inf
    for (k in setdiff(able, j)) {
      d <- (x[j] - x[k]) / sqrt(s[j]^2 + s[k]^2)
      if (d > cut) below <- below + 1
      if (d < -cut) above <- above + 1
      lead <- max(lead, d)
    }
    lower[j] <- 1 + above; upper[j] <- S - below
    rest <- setdiff(able, j)
    inside <- function(z) sapply(z, function(v) dnorm(v) * exp(sum(pnorm((lead * sqrt(s[j]^2 + s[rest]^2) - s[j] * v) / s[rest], log.p = TRUE))))
    p[j] <- 1 - integrate(inside, -9, 9, rel.tol = 1e-10, subdivisions = 2000)$value
  }
  list(cut = cut, rank_lower = lower, rank_upper = upper, p_could_be_last = p)
}
funnel <- function(x, s0, target, tail) {
  z <- (x - target) / s0; ends <- quantile(z, c(tail, 1 - tail), type = 7); S <- length(z)
  z <- pmin(pmax(z, ends[1]), ends[2]); phi <- sum(z^2) / S; w <- 1 / s0^2
  tau2 <- if (S < 10) 0 else max(0, (S * phi - (S - 1)) / (sum(w) - sum(w^2) / sum(w)))
  list(phi = if (S < 10) NA else phi, tau2 = tau2)
}
binomial <- function(n, target, p) {
  r <- qbinom(p, n, target)
  (r - (pbinom(r, n, target) - p) / dbinom(r, n, target)) / n
}
show <- function(values) paste0("[", paste(ifelse(is.na(values), "null", format(values, digits = 15, trim = TRUE)), collapse = ", "), "]")
lay_out <- function(found) paste(sprintf("\"%s\": %s", names(found), sapply(found, show)), collapse = ",\n  ")
answer <- function(case) {
  d <- units[units$case == case, ]; x <- d$estimate; n <- d$n
  s <- if (case == "rates") { q <- (n * x + z975^2 / 2) / (n + z975^2); sqrt(q * (1 - q) / n) } else d$std_error
  fit <- rma(x, s^2, method = "PM", control = list(tol = 1e-13, maxiter = 1000)); shrunken <- blup(fit)
  target <- sum(n * x) / sum(n)
  s0 <- if (case == "rates") sqrt(target * (1 - target) / n) else sqrt(sum((n - 1) * n * s^2) / sum(n - 1) / n)
  over <- funnel(x, s0, target, .1)
  found <- c(list(std_error = s, tau2 = fit$tau2, mean = as.vector(fit$beta), shrunken = shrunken$pred, shrunken_se = shrunken$se),
             contrasts(x, s, n), if (case == "rates") rate_places(x, n) else places(x, s, n),
             list(target = target, phi = over$phi, overdispersion = over$tau2, unwinsorised = rma(x, s0^2, method = "DL")$tau2))
  if (case == "rates") {
    wilson <- sapply(seq_along(x), function(j) prop.test(round(x[j] * n[j]), n[j], correct = FALSE)$conf.int)
    found <- c(found, list(ci_lower = wilson[1, ], ci_upper = wilson[2, ],
                           binomial_lower = binomial(n, target, .025), binomial_upper = binomial(n, target, .999)))
  } else {
    found <- c(found, list(funnel_lower = target - z975 * sqrt(s0^2 + over$tau2), funnel_upper_998 = target + qnorm(.999) * sqrt(s0^2 + over$tau2)))
  }
  paste0("\"", case, "\": {", lay_out(found), "}")
}
cat("{", paste(sapply(unique(units$case), answer), collapse = ",\n "), "}\n", sep = "")
