# Level measures by school with data.table. Started by bench_levels.py; answers "run" with the seconds one run took,
# "write PATH" by writing the last result, and ends with its input.
suppressMessages(library(data.table))
setDTthreads(0)
folder <- commandArgs(trailingOnly = TRUE)[1]
scores <- fread(file.path(folder, "wide.csv"), encoding = "UTF-8")
scores[, school_id := factor(school_id)]
papers <- fread(file.path(folder, "papers.csv"))

# One paper: sorted once by school and score, so that quantiles are places; the rest are sums and means that data.table
# optimises (GForce).
describe_paper <- function(name, full, excellent, good, pass, low) {
  all <- scores[, .(school_id, score = get(name), expected = get(paste0(name, "_expected")))]
  expected <- all[, .(n_expected = sum(expected)), by = school_id]
  there <- all[!is.na(score), .(school_id, score)]
  area_mean <- mean(there$score)
  area_sd <- sqrt(mean((there$score - area_mean)^2))
  setkey(there, school_id, score)
  there[, `:=`(e = score >= excellent, g = score >= good, p = score >= pass, l = score < low, f = score >= full)]
  found <- there[, .(n_present = .N, mean = mean(score), sd = sd(score), median = median(score), excellent = sum(e), good = sum(g),
                     pass = sum(p), low = sum(l), full = sum(f)), by = school_id]
  first <- c(0L, cumsum(found$n_present)[-nrow(found)])
  quantile_at <- function(probability) {
    place <- (found$n_present - 1) * probability
    lower <- floor(place)
    value <- there$score[first + lower + 1]
    value + (place - lower) * (there$score[pmin(first + lower + 2, first + found$n_present)] - value)
  }
  found[, `:=`(q1 = quantile_at(.25), q3 = quantile_at(.75), sd = sd * sqrt((n_present - 1) / n_present), z_mean = (mean - area_mean) / area_sd,
               excellent = excellent / n_present, good = good / n_present, pass = pass / n_present, low = low / n_present, full = full / n_present)]
  found[expected, on = "school_id", n_expected := i.n_expected]
  found[, paper := name]
  found
}
describe <- function() rbindlist(Map(describe_paper, papers$paper, papers$full, papers$excellent, papers$good, papers$pass, papers$low))

input <- file("stdin", "r")
cat(format(packageVersion("data.table")), " (R ", format(getRversion()), ", ", getDTthreads(), " threads)\n", sep = "")
while (length(line <- readLines(input, 1)) == 1) {
  if (line == "run") {
    seconds <- system.time(found <- describe())[["elapsed"]]
    cat(seconds, "\n")
  } else {
    found[, school_id := as.character(school_id)]
    fwrite(found, sub("^write ", "", line))
    cat("written\n")
  }
}
