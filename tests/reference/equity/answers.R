# Reference answers of test_equity_reference.py. Run: Rscript --vanilla answers.R pupils.csv > answers.json
# Base R from the formulas (double sums, pf with ncp, lm); lme4 for the REML intraclass correlation, metafor for the course.
suppressPackageStartupMessages({library(lme4); library(metafor)})
pupils <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
show <- function(values) paste0("[", paste(format(values, digits = 15, trim = TRUE), collapse = ", "), "]")
theil <- function(x, p) { p <- p / sum(p); r <- x / sum(p * x); sum(ifelse(r > 0, p * r * log(r), 0)) }
gini <- function(x, p) { p <- p / sum(p); sum(outer(p, p) * abs(outer(x, x, "-"))) / (2 * sum(p * x)) }
cross <- function(f, d1, d2, p) {
  at <- function(ncp) pf(f, d1, d2, ncp = ncp) - p
  if (pf(f, d1, d2) <= p) 0 else uniroot(at, c(1e-9, 4000), tol = 1e-12)$root
}
# Gap of two sides of schools: weighted means, SE from school means.
unit_gap <- function(d, a, b) {
  side <- function(g) {
    own <- d[d$area == g, ]; x <- tapply(own$score, own$school, mean); n <- table(own$school); p <- as.vector(n / sum(n))
    m <- sum(p * x); k <- sum(p^2)
    list(m = m, v = sum(p * (x - m)^2) / (1 - k) * k, df = 1 / k - 1, ss = sum((own$score - mean(own$score))^2), n = nrow(own))
  }
  s <- side(a); t <- side(b); sd <- sqrt((s$ss + t$ss) / (s$n + t$n - 2))
  v <- c(s$v, t$v) / sd^2; df <- sum(v)^2 / sum(v^2 / c(s$df, t$df)); gap <- (s$m - t$m) / sd
  c(gap, sqrt(sum(v)), gap + c(-1, 1) * qt(.975, df) * sqrt(sum(v)))
}
pupil_gap <- function(d) {
  side <- function(g) {
    own <- d[d$sex == g, ]; rest <- lm(score ~ factor(school), own)
    list(m = mean(own$score), v = summary(rest)$sigma^2 / nrow(own), df = rest$df.residual,
         ss = sum((own$score - mean(own$score))^2), n = nrow(own))
  }
  s <- side("female"); t <- side("male"); sd <- sqrt((s$ss + t$ss) / (s$n + t$n - 2))
  v <- c(s$v, t$v) / sd^2; df <- sum(v)^2 / sum(v^2 / c(s$df, t$df)); gap <- (s$m - t$m) / sd
  fixed <- lm(score ~ I(sex == "female") + factor(school), d)
  list(raw = c(gap, sqrt(sum(v)), gap + c(-1, 1) * qt(.975, df) * sqrt(sum(v))),
       within = c(coef(summary(fixed))[2, 1:2], confint(fixed)[2, ]) / sd)
}
answer <- function(case) {
  d <- pupils[pupils$case == case, ]
  x <- as.vector(tapply(d$score, d$school, mean)); n <- as.vector(table(d$school)); p <- n / sum(n)
  kind <- as.vector(tapply(d$area, d$school, function(k) k[1]))
  table <- anova(lm(score ~ factor(school), d))
  f <- table[1, 4]; d1 <- table[1, 1]; d2 <- table[2, 1]; total <- nrow(d)
  bound <- sapply(c(.975, .025), function(q) { l <- cross(f, d1, d2, q); l / (l + total) })
  point <- max((table[1, 2] - d1 * table[2, 3]) / sum(table[, 2]), 0)
  fit <- suppressMessages(lmer(score ~ 1 + (1 | school), d, control = lmerControl(optCtrl = list(xtol_rel = 1e-12, ftol_abs = 1e-14))))
  vc <- as.data.frame(VarCorr(fit))$vcov
  nh <- length(n) / sum(1 / n); fh <- nh * var(x) / table[2, 3]; lower <- fh / qf(c(.975, .025), d1, d2) - 1
  v <- as.vector(tapply(d$score, d$school, var)); v[n < 10] <- table[2, 3]
  mean_x <- sum(p * x); noise <- sum(p * (1 - p) * v / n)
  groups <- split(seq_along(x), kind); s <- sapply(groups, function(i) sum(p[i] * x[i])) / mean_x
  between <- sum(s * log(sapply(groups, function(i) weighted.mean(x[i], p[i])) / mean_x))
  inner <- sum(s * sapply(groups, function(i) theil(x[i], p[i])))
  cut <- sort(d$score)[ceiling(.3 * total)]
  gaps <- pupil_gap(d)
  parts <- list(
    between_school_share = c(point, bound), between_school_share_raw = table[1, 2] / sum(table[, 2]),
    icc = c(vc[1] / sum(vc), pmax(lower / (lower + nh), 0)),
    weighted_cv = sqrt(max(sum(p * (x - mean_x)^2) - noise, 0)) / mean_x,
    cv = sqrt(max(var(x) - mean(v / n), 0)) / mean(x),
    weighted_cv_raw = sqrt(sum(p * (x - mean_x)^2)) / mean_x, cv_raw = sd(x) / mean(x),
    gini_raw = gini(x, n), theil_raw = theil(x, n), range_ratio_raw = max(x) / min(x), range_rate_raw = diff(range(x)) / mean(x),
    theil_pupils = theil(d$score, rep(1, total)), theil_pupils_between = theil(x, n),
    theil_pupils_within = sum(n * x / sum(n * x) * tapply(d$score, d$school, function(k) theil(k, rep(1, length(k))))),
    theil_groups = c(between, inner), town_gap = unit_gap(d, "rural", "town"), sex_gap = gaps$raw, sex_gap_within = gaps$within,
    bottom = c(cut, mean(d$score <= cut)))
  paste0('"', case, '": {', paste0('"', names(parts), '": ', sapply(parts, show), collapse = ", "), "}")
}
years <- c(2019, 2020, 2021, 2023, 2024); value <- c(.21, .16, .19, .12, .15); se <- c(.02, .015, .02, .01, .02)
course <- rma(yi = value, sei = se, mods = ~ years, method = "PM", test = "adhoc", control = list(tol = 1e-12))
line <- paste0('"course": {"slope": ', show(c(course$b[2], course$se[2], course$ci.lb[2], course$ci.ub[2], course$pval[2])),
               ', "extra_variance": ', show(course$tau2), "}")
cat("{", paste(c(sapply(unique(pupils$case), answer), line), collapse = ",\n "), "}\n", sep = "")
