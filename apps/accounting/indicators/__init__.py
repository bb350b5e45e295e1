"""PUE, WUE, REF, ERF and CUE of sites and of the organisation, as ratios of sums over a period."""
