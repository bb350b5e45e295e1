"""The disclosure as a workbook: the figures of a snapshot as numbers to calculate with."""
