# Called by bench_percentiles.py: Rscript --vanilla percentiles.R pupils.csv out.csv method n_quantiles
# quantreg as its users write it: B-splines once, rq.fit at every quantile; prints the seconds of the fits.
suppressMessages({library(quantreg); library(splines)})
options(warn = -1)
given <- commandArgs(TRUE)
d <- read.csv(given[1])
taus <- (1:100 - .5) / 100
chosen <- round(seq(1, 100, length.out = as.integer(given[4])))
started <- proc.time()[["elapsed"]]
x <- cbind(1, bs(d$before, knots = quantile(d$before, c(.2, .4, .6, .8)), Boundary.knots = extendrange(d$before, f = .1)))
coefficients <- sapply(taus[chosen], function(tau) rq.fit(x, d$after, tau = tau, method = given[3])$coefficients)
fitted <- round(t(apply(x %*% coefficients, 1, sort)), 5)
seconds <- proc.time()[["elapsed"]] - started
objective <- sapply(seq_along(chosen), function(k) {
  r <- d$after - x %*% coefficients[, k]
  sum(r * (taus[chosen[k]] - (r < 0)))
})
write.csv(data.frame(quantile = taus[chosen], objective = objective), given[2], row.names = FALSE)
if (length(chosen) == 100) write.csv(data.frame(percentile = pmin(pmax(rowSums(fitted < d$after), 1), 99)),
                                     paste0(given[2], ".pupils"), row.names = FALSE)
cat(seconds, as.character(packageVersion("quantreg")), "\n")
