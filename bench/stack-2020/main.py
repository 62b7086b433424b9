"""Uses a little of each, so that an image with none of them missing is seen to work."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import optimize, stats
from sklearn.linear_model import LinearRegression

numbers = pd.DataFrame({"x": np.arange(100.0), "y": np.arange(100.0) * 2 + 1})
model = LinearRegression().fit(numbers[["x"]], numbers["y"])
root = optimize.brentq(lambda x: x * x - 2, 0, 2)
plt.plot(numbers["x"], model.predict(numbers[["x"]]))
plt.savefig("/dev/shm/line.png")
print(f"{model.coef_[0]:.2f} {root:.4f} {stats.norm.cdf(0):.1f}")
