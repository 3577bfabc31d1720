"""Writes ``digits_0_1.csv`` beside itself: the zeros and ones of scikit-learn's copy of the UCI digits, in its order.

Needs scikit-learn; the service itself needs only the CSV.
"""

import csv
from pathlib import Path

from sklearn.datasets import load_digits

SIDE = 8
"""Each digit is an 8 x 8 picture with grey levels from 0 (paper) to 16 (ink)."""


def main() -> None:
    pictures, digits = load_digits(n_class=2, return_X_y=True)
    with Path(__file__).with_name("digits_0_1.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE)), "digit"])
        writer.writerows([*map(int, picture), int(digit)] for picture, digit in zip(pictures, digits, strict=True))


if __name__ == "__main__":
    main()
