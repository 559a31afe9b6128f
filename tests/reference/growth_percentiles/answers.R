# Reference answers of test_growth_percentiles.py. Run: Rscript --vanilla answers.R pupils.csv > answers.json
# quantreg rq(method = "br") on B-splines of package splines, all rows, 100 quantiles, one pupil at a time.
suppressMessages({library(quantreg); library(splines); library(jsonlite)})
options(warn = -1)  # "Solution may be nonunique": legal, see the test
d <- read.csv(commandArgs(TRUE)[1])
taus <- (1:100 - .5) / 100
ends <- function(x) extendrange(x, f = .1)
inner <- function(x) as.numeric(quantile(x, c(.2, .4, .6, .8)))
cases <- list(
  one = list(priors = "first", knots = list(first = inner(d$first)), ends = list(first = ends(d$first)), top = NA),
  top = list(priors = "first", knots = list(first = inner(d$first)), ends = list(first = ends(d$first)), top = 100),
  declared = list(priors = "second", knots = list(second = c(60, 80, 100)), ends = list(second = c(-10, 130)), top = NA),
  two = list(priors = c("first", "second"), knots = list(first = inner(d$first), second = inner(d$second)),
             ends = list(first = ends(d$first), second = ends(d$second)), top = NA))
answers <- lapply(cases, function(case) {
  x <- do.call(cbind, c(list(1), lapply(case$priors, function(p)
    bs(d[[p]], knots = case$knots[[p]], Boundary.knots = case$ends[[p]]))))
  fits <- lapply(taus, function(tau) rq.fit.br(x, d$outcome, tau = tau))
  objective <- mapply(function(f, tau) { r <- d$outcome - x %*% f$coefficients; sum(r * (tau - (r < 0))) }, fits, taus)
  fitted <- round(t(apply(sapply(fits, function(f) x %*% f$coefficients), 1, sort)), 5)
  count <- rowSums(fitted < d$outcome)
  if (!is.na(case$top)) count <- ifelse(d$outcome == case$top, rowSums(fitted <= d$outcome), count)
  list(knots = case$knots, boundaries = case$ends, objective = objective, percentile = pmin(pmax(count, 1), 99))
})
# standard error of a median (Maritz and Jarrett), odd n, from pbeta
mj <- function(x) { n <- length(x); m <- (n + 1) / 2; w <- diff(pbeta(0:n / n, m, n - m + 1)); x <- sort(x)
  sqrt(sum(w * x^2) - sum(w * x)^2) }
answers$median_error <- list(x = d$outcome[1:15], se = mj(d$outcome[1:15]))
cat(toJSON(answers, digits = I(17), auto_unbox = TRUE), "\n")
