"""Fits a model to made-up measurements, tests it, and draws it: one line of output for each library."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import optimize, stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split


def main() -> None:
    rng = np.random.default_rng(42)
    x = rng.uniform(0, 10, 500)
    data = pd.DataFrame({"x": x, "y": 3 * np.sin(x) + x / 2 + rng.normal(0, 0.3, x.size)})
    print(f"pandas: {len(data)} rows, mean of y by unit of x has {data.groupby(data.x.astype(int)).y.mean().size} groups")

    parameters, _ = optimize.curve_fit(lambda x, a, b: a * np.sin(x) + b * x, data.x, data.y)
    print(f"scipy: y = {parameters[0]:.1f} sin x + {parameters[1]:.1f} x")

    train, test = train_test_split(data, random_state=0)
    model = RandomForestRegressor(n_estimators=50, random_state=0).fit(train[["x"]], train.y)
    score = model.score(test[["x"]], test.y)
    assert score > 0.9, score
    print(f"scikit-learn: R² is over 0.9, residuals are normal with p > 0.001: "
          f"{stats.shapiro(test.y - model.predict(test[['x']])).pvalue > 0.001}")

    figure, axes = plt.subplots()
    axes.scatter(data.x, data.y, s=4)
    grid = pd.DataFrame({"x": np.linspace(0, 10, 200)})
    axes.plot(grid.x, model.predict(grid), color="red")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    assert png.getvalue().startswith(b"\x89PNG"), "not a PNG"
    print(f"matplotlib: a plot of {figure.canvas.get_width_height()} pixels")


if __name__ == "__main__":
    main()
